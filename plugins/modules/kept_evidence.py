#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Hold what a capture kept on the controller against the hashes that were taken on the host."""

from __future__ import annotations

DOCUMENTATION = """
module: kept_evidence
short_description: Prove that captured evidence is what was hashed on its host
description:
  - Reads every file again that C(captured.json) lists, and fails where one is missing or has another sha256.
  - For the machine where the evidence is kept.
  - Own module, because C(ansible.builtin.stat) takes a task for each file.
options:
  folder:
    description: Where the evidence of the host is kept.
    type: path
  would:
    description: What would be captured, to be said in a dry run, where nothing is kept.
    type: str
    default: nothing
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What was captured is what was hashed
  irctl.runbooks.kept_evidence:
    folder: /var/lib/irctl/runs/20261121T022311Z-capture-evidence-7f3a01/evidence/web1
  delegate_to: localhost
"""
RETURN = """
summary:
  description: How much is kept, and the first of what is not.
  returned: outside check mode
  type: dict
"""

import json
import os
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names, snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, sized

ARGUMENTS: dict[str, Any] = {"folder": {"type": "path"}, "would": {"type": "str", "default": "nothing"}}
LISTING = "captured.json"
SHOWN = 20  # of what is not kept
NAMED = 5  # of what is kept in part


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Read it all again. Raises Failure or ValueError."""
    if check_mode:
        return {"changed": False, "in_short": f"would be captured: {params['would']}"}
    folder = params["folder"]
    if not folder:
        raise ValueError("folder: where evidence is kept has to be said")
    try:
        with open(os.path.join(folder, LISTING), encoding="utf-8") as file:
            listed = json.load(file)
        wrong = [one["name"] for one in listed["kept"] if not _is_as_listed(folder, one)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"{LISTING} cannot be read: {error}") from None
    if wrong:
        raise Failure(f"{len(wrong)} of {len(listed['kept'])} are not what was hashed on the host, such as {wrong[0]}.")
    return {"changed": False, "summary": _summary(listed), "in_short": _in_short(listed)}


def _is_as_listed(folder: str, one: dict[str, Any]) -> bool:
    try:
        actual = snapshots.digest_of(os.path.join(folder, one["name"])) if evidence_names.is_inside(one["name"]) else None
    except OSError:
        return False
    return actual == (one["bytes"], one["sha256"])


def _summary(listed: dict[str, Any]) -> dict[str, Any]:
    kept = listed["kept"]
    noted = [{"source": one["source"], "note": one["note"]} for one in kept if one["note"]]
    return {
        "kept": len(kept),
        "bytes": sum(one["bytes"] for one in kept),
        "noted": noted[:SHOWN],
        "left_out": len(listed["skipped"]) + listed["unlisted"],
        "of_them": listed["skipped"][:SHOWN],
        "older": listed["older"],
    }


def _in_short(listed: dict[str, Any]) -> str:
    kept = listed["kept"]
    if len(kept) == 1:
        return f"kept: {kept[0]['name']}, {sized(kept[0]['bytes'])}, as it was hashed on the host"
    files = sum(one["name"].startswith("files/") for one in kept)
    size = sum(one["bytes"] for one in kept) / 1e6
    message = f"kept: {files} of its files, {len(kept) - files} other pieces, {size:.2f} MB, each as it was hashed on the host"
    left_out = len(listed["skipped"]) + listed["unlisted"]
    odd = [f"{one['source']}: {one['note']}" for one in kept if _is_odd(one)]
    parts = [f"in part: {first_few(odd, NAMED, '; ')}"] if odd else []
    parts += [f"{left_out} left out"] if left_out else []
    return "; ".join([message, *parts])


def _is_odd(one: dict[str, Any]) -> bool:
    """Whether it is not all that there was, or the journal or a fact has something that must be known."""
    return bool(one["note"] and ("extents" in one or not one["name"].startswith("files/")))


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
