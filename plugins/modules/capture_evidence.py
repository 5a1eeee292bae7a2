#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Capture the evidence of a host, with nothing on it changed, or say what would be captured."""

from __future__ import annotations

DOCUMENTATION = """
module: capture_evidence
short_description: Capture logs, journal, processes and the like of a host
description:
  - Copies what it captures into one file of a folder of its own on the host, hashing it in the same pass. Its action fetches that
    file, takes it apart on the controller, compares every hash, and removes the folder.
  - Takes files only below declared folders, through no link, and only regular ones with one name.
  - Own module, because C(ansible.builtin.fetch) follows links, hashes after it has copied, and takes a task for each file.
options:
  state:
    description: The step to do. V(listed) and V(proved) only look; V(changed) removes what captures that were killed have left.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  thorough:
    description: With V(state=proved), whether everything that is declared can be captured.
    type: bool
    default: false
extends_documentation_fragment: [irctl.runbooks.capture_evidence, irctl.runbooks.run.run_evidence_folder]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What a capture of the last hour would take
  irctl.runbooks.capture_evidence:
    root: [/var/log/nginx]
    since: 1h
"""
RETURN = """
summary:
  description: How much there is, and the first of what is left out.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
gone:
  description: Each O(root) that is not there or cannot be read, with a sentence.
  returned: when listed
  type: dict
"""

import os
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import capture_evidence
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import run as of_runs
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names, host_capture, selection, snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.host_capture import Request, Survey
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.snapshots import Piece
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, first_few, sized

SHARED = ("run_",)
OWN_NAMES = {"root": "roots", "path": "paths", "unit": "units", "run_evidence_folder": "folder"}
PARAMETERS: dict[str, Any] = {
    **capture_evidence.MAIN,
    **of_runs.RUN_EVIDENCE_FOLDER,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "thorough": {"type": "bool", "default": False},
    **PARAMETERS,
}
SHOWN = 20  # of what is left out, in the result
NAMED = 3  # of it, in a sentence

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    return _STEPS[params["state"]](params, check_mode)


def _request(params: Params) -> Request:
    now = time.time()
    rules = selection.checked_rules(
        params["roots"],
        params["paths"],
        since=now - values.seconds(params["since"]),
        largest=params["max_file_mib"] << 20,
        total=params["max_mib"] << 20,
        home=snapshots.home_of(params["folder"] or ""),
    )
    return Request(rules, now, tuple(values.unit(unit) for unit in params["units"]), params["memory"])


def _listed(params: Params, check_mode: bool) -> Result:
    request = _request(params)
    survey = host_capture.survey(request)
    leftovers = snapshots.leftovers(params["temp"], snapshots.owner_of(params["folder"]))
    return {
        "changed": False,
        "summary": _summary(survey),
        "refusals": [*selection.refusals(request.rules, survey.listings), *_no_room(params, survey)],
        "gone": selection.gone(params["roots"], survey.listings),
        "msg": ", ".join([_to_do(survey), *_leftovers(leftovers)]),
    }


def _no_room(params: Params, survey: Survey) -> list[str]:
    needed = survey.most + snapshots.ROOM
    try:
        disk = os.statvfs(params["temp"])
    except OSError as error:
        return [f"{params['temp']} cannot be used for the snapshot: {(error.strerror or '').lower()}."]
    free = disk.f_bavail * disk.f_frsize
    reason = f"The snapshot takes up to {needed >> 20} MiB of {params['temp']}, and {free >> 20} MiB are free there."
    return [f"{reason} Narrow it with --path, --since or --max-mib, or set capture_evidence_temp."] if needed > free else []


def _summary(survey: Survey) -> Result:
    skipped = [*survey.skipped, *survey.choice.skipped]
    return {
        "files": len(survey.choice.wanted),
        "bytes": survey.bytes,
        "left_out": len(skipped),
        "of_them": _shown(skipped),
        "older": survey.choice.older,
    }


def _shown(skipped: list[Skipped]) -> list[dict[str, str]]:
    return [{"source": evidence_names.shown(one.path), "reason": one.reason} for one in skipped[:SHOWN]]


def _to_do(survey: Survey) -> str:
    read = survey.journal_read
    journal = f"{sized(survey.journal)} of the journal" if survey.journal >= 0 else "no journal"
    journal += f" ({'; '.join(read.notes())})" if survey.journal >= 0 and read and read.notes() else ""
    parts = [f"{counted(len(survey.choice.wanted), 'file')} ({sized(survey.of_files)})", journal]
    parts += [f"{sized(survey.memory)} of memory"] if survey.memory else []
    parts += [f"{survey.choice.older} not written since then"] if survey.choice.older else []
    return ", ".join([*parts, *_left_out([*survey.skipped, *survey.choice.skipped])])


def _left_out(skipped: list[Skipped]) -> list[str]:
    named = "; ".join(f"{evidence_names.shown(one.path)}: {one.reason}" for one in skipped[:NAMED])
    more = f"; {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return [f"left out: {named}{more}"] if skipped else []


def _cut(kept: list[Piece]) -> list[str]:
    """What was not taken whole, and what has to be known of the journal."""
    texts = [f"{evidence_names.shown(piece.source)}: {piece.note}" for piece in kept if piece.is_odd]
    return [f"in part: {first_few(texts, NAMED, '; ')}"] if texts else []


def _leftovers(folders: list[str]) -> list[str]:
    return [f"{counted(len(folders), 'snapshot')} that a killed capture left: {', '.join(folders[:NAMED])}"] if folders else []


def _captured(params: Params, check_mode: bool) -> Result:
    request = _request(params)
    if check_mode:
        survey = host_capture.survey(request)
        evidence = {"would-capture.json": host_capture.preview(survey)}
        rows = [{"capture": evidence_names.shown(source), "bytes": size} for source, size in survey.sizes.items()]
        return {"changed": False, "evidence": evidence, "affected": rows, "msg": "would-capture.json"}
    with snapshots.making(params["temp"], snapshots.owner_of(params["folder"])) as snapshot:
        choice = host_capture.take(request, snapshot)
    if not snapshot.kept:
        raise Failure("Nothing could be captured.")
    promised = [(one.name, one.size, one.sha256) for one in snapshot.kept]
    parts = [f"{counted(len(promised), 'piece')}, {sized(snapshot.size)}", *_cut(snapshot.kept), *_left_out(choice.skipped)]
    return {
        "changed": False,
        "snapshot": {"path": snapshot.path, "bytes": snapshot.size, "files": promised},
        "evidence": {"captured.json": host_capture.listing(request, snapshot, choice)},
        "msg": ", ".join(parts),
    }


def _changed(params: Params, check_mode: bool) -> Result:
    leftovers = (
        snapshots.leftovers(params["temp"], snapshots.owner_of(params["folder"]))
        if check_mode
        else snapshots.sweep(params["temp"], snapshots.owner_of(params["folder"]))
    )
    would = "would be " if check_mode else ""
    return {"changed": bool(leftovers), "msg": f"{would}removed: {', '.join(leftovers)}" if leftovers else ""}


def _proved(params: Params, check_mode: bool) -> Result:
    """That nothing is left on the host; if thorough also that all that is declared can be captured. Failure if not."""
    leftovers = [] if check_mode else snapshots.leftovers(params["temp"], snapshots.owner_of(params["folder"]))
    if leftovers:
        raise Failure(f"There is {_leftovers(leftovers)[0]}.")
    if not params["thorough"]:
        return {"changed": False, "msg": "nothing is left on the host"}
    request = _request(params)
    survey = host_capture.survey(request)
    if reasons := [
        *selection.refusals(request.rules, survey.listings),
        *_no_room(params, survey),
        *selection.gone(params["roots"], survey.listings).values(),
    ]:
        raise Failure(" ".join(reasons))
    return {"changed": False, "summary": _summary(survey), "msg": f"can be captured: {_to_do(survey)}"}


_STEPS = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}


def _ended(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    import signal

    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    signal.signal(signal.SIGTERM, _ended)  # the snapshot goes when nobody waits for it
    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
