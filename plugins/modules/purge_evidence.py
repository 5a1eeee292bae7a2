#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""List local evidence that is past retention and archived; delete exactly what a list names."""

from __future__ import annotations

DOCUMENTATION = """
module: purge_evidence
short_description: Delete exactly the listed local evidence, after proof that the archive holds it
description:
  - Without O(list), says which files are past retention, not on hold, and in the archive as they are here, and lists them.
  - With O(list), deletes the files that it names, and no others. If one of them is on hold, not past retention, changed since,
    replaced by a link, or not held by the store, nothing at all is deleted. One that is gone already is no objection.
  - Carries a list out only where O(record) says that two people in two roles approved that very list.
  - Never deletes an incident's journal and manifest.
  - Own module, because C(ansible.builtin.file) with C(state=absent) follows paths and looks at no content.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
extends_documentation_fragment:
  - irctl.runbooks.purge_evidence
  - irctl.runbooks.archive_evidence.shared
  - irctl.runbooks.irctl.irctl_home
  - irctl.runbooks.irctl.irctl_record
  - irctl.runbooks.aws
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What could be deleted
  irctl.runbooks.purge_evidence:
    tree: /var/lib/app/evidence
    bucket: example-evidence
"""
RETURN = """
summary:
  description: How many files and bytes are listed, and the sha256 of the list.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees, values
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import manifest, object_store, purge, sending
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.manifest import Kept, Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.purge import Doomed, Line
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.sending import counted, sized
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence, aws, irctl, purge_evidence
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import DRILL, File, Left

SHARED = ("archive_evidence_", "aws_", "irctl_")
OWN_NAMES = {"max": "limit"}
PARAMETERS: dict[str, Any] = {
    **purge_evidence.MAIN,
    **archive_evidence.SHARED,
    **irctl.IRCTL_HOME,
    **irctl.IRCTL_RECORD,
    **aws.ARGUMENTS,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    **PARAMETERS,
}
LIST = "purge-list.txt"
NO_LIST = f"Nothing is deleted without a list. Make one with --check: it keeps {LIST}, and says the rest of the command line."

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    if not params["bucket"]:
        raise ValueError("bucket: none is named; set archive_evidence_bucket")
    if bool(params["list"]) != bool(params["list_hash"]):
        raise ValueError("list: it is needed together with its sha256, list_hash, so that it is the one that was approved")
    if params["drill"]:
        if not params["tree"] or params["list"]:
            raise ValueError("drill: a tree is needed, and no list")
        params = {**params, "tree": os.path.join(params["tree"], DRILL)}
    look = _Look(params)
    steps = _CARRY_OUT if params["list"] or params["drill"] else _FIND
    return steps[params["state"]](look, check_mode)


class _Look:
    """What there is here and in the archive, now."""

    def __init__(self, params: Params) -> None:
        self.params, self.now = params, time.time()
        self.prefix, self.older = manifest.check_prefix(params["prefix"]), values.seconds(params["older_than"])
        if params["drill"] and not paths.has_name(params["tree"]):
            self.subjects, self.aside = list[Subject](), list[Left]()
        elif params["tree"]:
            self.subjects, self.aside = [sending.tree(params["tree"], params["home"] or "")], list[Left]()
        elif params["home"]:
            self.subjects, self.aside = sending.subjects(params["home"], self.older, self.now)
        else:
            raise ValueError("tree: none is named, and irctl_home neither; one of them is needed")
        self.store = object_store.open_store(params["bucket"], params)
        self._kept: dict[str, Kept] = {}

    def kept(self, subject: Subject) -> Kept:
        if subject.name not in self._kept:
            self._kept[subject.name] = sending.kept(self.store, self.prefix, subject.name)
        return self._kept[subject.name]

    def files(self, subject: Subject) -> list[File]:
        found = sending.files_of(subject, self.now - self.older)
        meant = [file for file in found.files if not self.params["drill"] or trees.DRILLED.fullmatch(file.path)]
        return [file for file in meant if file.path not in subject.stays]

    @cached_property
    def found(self) -> tuple[list[Line], int, list[Left]]:
        """What could be deleted, its bytes, and what could not and why."""
        lines, size, left = [], 0, list(self.aside)
        for subject in self.subjects:
            for file in self.files(subject):
                path = f"{subject.root}/{file.path}"
                if reason := self._objection(subject, file, path):
                    left.append(Left(path, reason))
                else:
                    lines.append(Line(self.kept(subject).entries[file.path]["sha256"], path))
                    size += file.bytes
        return lines, size, left

    def _objection(self, subject: Subject, file: File, path: str) -> str:
        if subject.held:
            return f"on legal hold: {values.printable(subject.held, 80)}"
        if not purge.can_stand_in_a_list(path):
            return "its name is not plain text"
        entry = self.kept(subject).entries.get(file.path)
        if entry is None:
            return "not archived"
        if entry["bytes"] != file.bytes or _hash(subject.root, file) != entry["sha256"]:
            return "not as it was archived"
        return "" if self.kept(subject).has(entry) else "its object is no longer in the archive"

    # What a list says

    @cached_property
    def lines(self) -> list[Line]:
        return self.found[0] if self.params["drill"] else purge.parsed(_read("list", self.params["list"]), self.params["list_hash"])

    @cached_property
    def unapproved(self) -> str:
        """Why the list is not approved, or ''; what a drill has made needs no approval."""
        if self.params["drill"]:
            return ""
        try:
            record = json.loads(_read("record", self.params["record"] or ""))
        except ValueError as error:
            return f"who approved it cannot be read: {values.printable(error, 120)}"
        return purge.unapproved(record, self.params["list_hash"])

    @cached_property
    def _roots(self) -> dict[str, Subject]:
        return {subject.root: subject for subject in self.subjects}

    @cached_property
    def listed(self) -> list[Subject]:
        """The subjects that lines of the list lie in; all of them may be more than there are descriptors."""
        owned = [purge.owner(line.path, self._roots) for line in self.lines]
        named = {subject.root for subject, _owner in filter(None, owned)}
        return [subject for subject in self.subjects if subject.root in named]

    @cached_property
    def doomed(self) -> tuple[list[Doomed], list[Left]]:
        """The files of the list, and why some must not be deleted."""
        roots = self._roots
        old = {subject.root: {file.path: file for file in self.files(subject)} for subject in self.listed if not subject.held}
        found, left = [], []
        for line in self.lines:
            owned = purge.owner(line.path, roots)
            one = self._one(line, *owned, old.get(owned[0].root, {})) if owned else "not of what is past retention"
            if isinstance(one, str):
                left.append(Left(line.path, one))
            else:
                found.append(one)
        return found, left

    def _one(self, line: Line, subject: Subject, path: str, old: dict[str, File]) -> Doomed | str:
        if subject.held:
            return f"on legal hold: {values.printable(subject.held, 80)}"
        if path in subject.stays:
            return "an incident's own record stays"
        entry = purge.is_archived(self.kept(subject), path, line.sha256)
        if entry is None:
            return "the archive does not have it as it is listed"
        file = old.get(path)
        if file is None:
            return (
                Doomed(line, subject, path, None, entry) if not paths.has_name(line.path) else "written to since, or a link by now"
            )
        return (
            Doomed(line, subject, path, file, entry) if _hash(subject.root, file) == line.sha256 else "changed since it was listed"
        )


def _read(what: str, path: str) -> bytes:
    """A file of no more than LARGEST_LIST bytes, by its whole path. Raises ValueError."""
    folder, name = os.path.split(path)
    if not os.path.isabs(folder):
        raise ValueError(f"{what}: its whole path is needed (got '{values.printable(path, 80)}')")
    try:
        with trees.reading(folder, name) as one:
            if one.file.bytes > purge.LARGEST_LIST:
                raise ValueError(f"{what}: larger than {purge.LARGEST_LIST} bytes")
            return b"".join(one.pieces(trees.PIECE))
    except OSError as error:
        raise ValueError(f"{what}: it cannot be read: {trees.why(error)} (got '{values.printable(path, 80)}')") from None


def _hash(root: str, file: File) -> str:
    """The sha256 of a file that is what it was when it was looked at; '' for any other."""
    digest = hashlib.sha256()
    try:
        with trees.reading(root, file.path) as one:
            for piece in one.pieces(trees.PIECE):
                digest.update(piece)
            unchanged = one.file == file and one.meanwhile(file.bytes) == ("", True)
    except OSError:
        return ""
    return digest.hexdigest() if unchanged else ""


# Without a list


def _found(look: _Look, check_mode: bool) -> Result:
    lines, size, left = look.found
    over = len(lines) > look.params["limit"]
    refusals = [f"{counted(len(lines))} could go and the limit is {look.params['limit']}. Raise --max."] if over else []
    refusals += [] if check_mode else [NO_LIST]
    said = [f"{counted(len(lines))} could go ({sized(size)})" if lines else "nothing could go"]
    said += [f"{counted(len(left))} must stay ({purge.shown(left)})"] if left else []
    return {"changed": False, "summary": {"files": len(lines), "bytes": size}, "refusals": refusals, "msg": ", ".join(said)}


def _list_kept(look: _Look, check_mode: bool) -> Result:
    content = purge.text(look.found[0])
    stay = [{"path": manifest.plain(left.path), "why": left.why} for left in look.found[2]]
    evidence = {LIST: content, "purge-stays.json": json.dumps(stay, indent=1, ensure_ascii=False) + "\n"}
    return {"changed": False, "evidence": evidence if content else {}, "msg": LIST}


def _would_need_a_list(look: _Look, check_mode: bool) -> Result:
    if not check_mode:
        raise Failure(NO_LIST)
    lines = look.found[0]
    digest = hashlib.sha256(purge.text(lines).encode()).hexdigest()
    next_step = f"to delete them: --list {LIST} of this run's evidence, --list-hash {digest}"
    return {"changed": bool(lines), "msg": f"{counted(len(lines))} listed; {next_step}" if lines else "nothing could go"}


def _nothing_to_go(look: _Look, check_mode: bool) -> Result:
    """Fails where something past retention could go, if this is in earnest."""
    lines, size, _rest = look.found
    if lines and not check_mode:
        raise Failure(f"{counted(len(lines))} past retention, archived and not on hold, still here, such as {lines[0].path}.")
    return {"changed": False, "summary": {"files": len(lines), "bytes": size}, "msg": "nothing was deleted"}


# With a list


def _checked(look: _Look, check_mode: bool) -> Result:
    doomed, left = look.doomed
    there = [one for one in doomed if one.file]
    refusals = []
    if left:
        refusals.append(f"{counted(len(left))} of the list must not be deleted, so none is: {purge.shown(left)}.")
    if len(there) > look.params["limit"]:
        refusals.append(f"{counted(len(there))} would go and the limit is {look.params['limit']}. Raise --max, or list fewer.")
    if look.unapproved and not check_mode:
        refusals.append(f"The list is not approved: {look.unapproved}.")
    gone = len(doomed) - len(there)
    said = [f"{counted(len(there))} of the list {'is' if len(there) == 1 else 'are'} here"] + (
        [f"{gone} gone already"] if gone else []
    )
    return {"changed": False, "summary": _summary(look, doomed), "refusals": refusals, "msg": ", ".join(said)}


def _summary(look: _Look, doomed: list[Doomed]) -> Result:
    there = [one.file for one in doomed if one.file]
    return {
        "listed": len(look.lines),
        "here": len(there),
        "bytes": sum(file.bytes for file in there),
        "list": look.params["list_hash"],
    }


def _proof_kept(look: _Look, check_mode: bool) -> Result:
    names = {one.subject.name: one.subject for one in look.doomed[0]}
    proof = [
        {"name": name, "root": subject.root, "manifest": look.kept(subject).number, "sha256": look.kept(subject).sha256}
        for name, subject in sorted(names.items())
    ]
    text = json.dumps(
        {"schema": "irctl/purge/1", "bucket": look.params["bucket"], "prefix": look.prefix, "archived": proof}, indent=1
    )
    return {"changed": False, "evidence": {LIST: purge.text(look.lines), "purge-proof.json": text + "\n"}, "msg": LIST}


def _deleted(look: _Look, check_mode: bool) -> Result:
    """Nothing goes unless all may go: looked at here and asked of the store again, with every incident of it held still."""
    if look.unapproved and not check_mode:
        raise Failure(f"Nothing was deleted: the list is not approved: {look.unapproved}.")
    with ExitStack() as still:
        objections = [(one, still.enter_context(sending.undisturbed(one))) for one in look.listed]
        doomed, left = look.doomed
        left += [Left(subject.root, why) for subject, why in objections if why and any(one.subject == subject for one in doomed)]
        there = [one for one in doomed if one.file]
        if not left:
            left += [Left(one.line.path, "the store does not hold it") for one in _not_held(look, doomed)]
        if left or len(there) > look.params["limit"]:
            raise Failure(f"Nothing was deleted: {purge.shown(left) or 'more files than the limit'}.")
        if check_mode:
            return {"changed": bool(there), "msg": f"{counted(len(there))} would be deleted" if there else "gone already"}
        return _delete(there)


def _not_held(look: _Look, doomed: list[Doomed]) -> Iterator[Doomed]:
    def held(one: Doomed) -> bool:
        believed = one.entry.get("believed", False)
        return look.store.holds(one.entry["key"], manifest.wanted_of(one.entry), believed=believed) is not None

    with ThreadPoolExecutor(sending.AT_ONCE) as crew:
        yield from [one for one, good in zip(doomed, crew.map(held, doomed), strict=True) if not good]


def _delete(there: list[Doomed]) -> Result:
    left, gone = [], list[Doomed]()
    for one in there:
        try:
            removed = one.file is not None and trees.remove(one.subject.root, one.file)
            reason = "" if removed else "changed at the last moment"
        except OSError as error:
            reason = trees.why(error)
        if reason:
            left.append(Left(one.line.path, reason))
        else:
            gone.append(one)
    for root in {one.subject.root for one in gone}:
        trees.remove_empty(root, {one.path for one in gone if one.subject.root == root})
    if left:
        raise Failure(f"{counted(len(gone))} deleted, {counted(len(left))} not: {purge.shown(left)}.")
    size = sum(one.file.bytes for one in gone if one.file)
    return {"changed": bool(gone), "msg": f"{counted(len(gone))} deleted ({sized(size)})" if gone else "gone already"}


def _proved_gone(look: _Look, check_mode: bool) -> Result:
    """Fails where a listed file is still here, if this is in earnest, or the archive does not hold one."""
    if look.params["drill"]:
        return _nothing_to_go(look, check_mode)
    doomed, left = look.doomed
    if check_mode:
        return {"changed": False, "summary": _summary(look, doomed), "msg": "not done in a dry run"}
    here = [Left(one.line.path, "still here") for one in doomed if one.file] + left
    here += [Left(one.line.path, "the store does not hold it") for one in _not_held(look, doomed)]
    if here:
        raise Failure(f"{counted(len(here))} not as it should be: {purge.shown(here)}.")
    said = f"{counted(len(doomed))} gone here, and in the archive"
    return {"changed": False, "summary": _summary(look, doomed), "msg": said}


_FIND = {"listed": _found, "captured": _list_kept, "changed": _would_need_a_list, "proved": _nothing_to_go}
_CARRY_OUT = {"listed": _checked, "captured": _proof_kept, "changed": _deleted, "proved": _proved_gone}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
