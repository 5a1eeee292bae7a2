#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make what is hard to capture: a log under full load, a link and a pipe beside it, and what a killed capture leaves."""

from __future__ import annotations

DOCUMENTATION = """
module: scratch_log
short_description: Make what is hard to capture
description:
  - Makes the folder C(irctl-drill) below the first O(root), with a log that a process writes at full speed and rotates, a link
    to C(/etc/shadow), a pipe, and a file with two names. The process ends by itself.
  - Also makes a snapshot as a capture that was killed leaves one in O(temp).
  - Own module, because a module that ends takes what it started with it, and one task for all is quicker than six.
options:
  state:
    description: Whether all that shall be there or gone.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [irctl.runbooks.capture_evidence.fault, irctl.runbooks.run.run_evidence_folder]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: A log under full load
  irctl.runbooks.scratch_log:
    root: [/var/log]
    fault_lifetime: 30s
"""
RETURN = """
summary:
  description: The folder of the log.
  returned: always
  type: dict
"""

import fcntl
import inspect
import os
import shutil
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, paths, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import capture_evidence
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import run as of_runs
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import log_writer, snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names

SHARED = ("run_",)
OWN_NAMES = {"root": "roots", "fault_lifetime": "lifetime", "run_evidence_folder": "folder"}
PARAMETERS: dict[str, Any] = {
    **capture_evidence.FAULT,
    **of_runs.RUN_EVIDENCE_FOLDER,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **PARAMETERS,
}
BELOW = "irctl-drill"
LARGEST = 8 << 20  # bytes of the log before it is rotated
PATIENCE = 20.0  # seconds until the writer must have ended
WRITER = "writer.py"

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Make it, or take it away whatever state it is in. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    if not params["roots"] or not all(os.path.isabs(root) for root in params["roots"]):
        raise ValueError("roots: the whole path of a folder is needed; the drill makes its log below irctl-drill/ in it")
    folder, lifetime = os.path.join(params["roots"][0], BELOW), values.seconds(params["lifetime"])
    leftover = snapshots.prefix(snapshots.owner_of(params["folder"]))
    try:
        if params["state"] == "present":
            return _made(folder, os.path.join(params["temp"], f"{leftover}drill"), lifetime, check_mode)
        return _gone(folder, params, check_mode)
    except OSError as error:
        raise Failure(f"{error.filename or folder}: {(error.strerror or 'no reason was given').lower()}.") from None


def _made(folder: str, leftover: str, lifetime: int, check_mode: bool) -> Result:
    writes = _is_writing(folder)
    changed = not writes or not paths.is_folder(leftover)
    if not check_mode:
        os.makedirs(leftover, mode=0o700, exist_ok=True)
        if not writes:
            _start(folder, lifetime)
    message = f"a log is {'' if not check_mode or writes else 'to be '}written at full speed in {folder}"
    return {"changed": changed, "summary": {"folder": folder}, "msg": message}


def _is_writing(folder: str) -> bool:
    """Whether a writer lives: it holds a lock on the folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _start(folder: str, lifetime: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    texts = {WRITER: inspect.getsource(log_writer), log_writer.MARK: "", log_writer.LOG: "", "twice": "one file, two names\n"}
    for name, text in texts.items():
        with open(os.path.join(folder, name), "x", encoding="utf-8") as file:
            file.write(text)
    os.symlink("/etc/shadow", os.path.join(folder, "link"))
    os.link(os.path.join(folder, "twice"), os.path.join(folder, "again"))
    os.mkfifo(os.path.join(folder, "pipe"), 0o600)
    plan = {"folder": folder, "seconds": lifetime, "largest": LARGEST}
    detached.start(os.path.join(folder, WRITER), plan, "The log could not be written")


def _gone(folder: str, params: Params, check_mode: bool) -> Result:
    owner = snapshots.owner_of(params["folder"])
    present = [one for one in (folder, *snapshots.leftovers(params["temp"], owner)) if paths.has_name(one)]
    if not check_mode:
        _end(folder)
        shutil.rmtree(folder, ignore_errors=True)
        snapshots.sweep(params["temp"], owner)
    would = "would be " if check_mode else ""
    return {
        "changed": bool(present),
        "summary": {"folder": folder},
        "msg": f"{would}removed: {', '.join(present)}" if present else "nothing is there",
    }


def _end(folder: str) -> None:
    """Have the writer end, and wait until it has. Raises Failure."""
    mark, until = os.path.join(folder, log_writer.MARK), time.monotonic() + PATIENCE
    if paths.has_name(mark):
        os.unlink(mark)
    while _is_writing(folder):
        if time.monotonic() > until:
            raise Failure(f"The log in {folder} is still written to.")
        time.sleep(0.02)


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
