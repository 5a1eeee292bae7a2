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
  - Carries a list out only where O(irctl_record) says that two people in two roles approved that very list, and irctl finds
    their signatures good by O(irctl_allowed_signers).
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
  - irctl.runbooks.irctl.irctl_allowed_signers
  - irctl.runbooks.aws
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What could be deleted
  irctl.runbooks.purge_evidence:
    tree: /var/lib/app/evidence
    archive_evidence_bucket: example-evidence
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
from contextlib import ExitStack
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import keys, purge, purge_survey, signatures, subjects
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.purge import Doomed, Line
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.purge_survey import Candidates, Listed, Survey
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence, aws, irctl, purge_evidence
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import DRILL, Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, sized

SHARED = ("archive_evidence_", "aws_", "irctl_")
OWN_NAMES = {"max": "limit"}
PARAMETERS: dict[str, Any] = {
    **purge_evidence.MAIN,
    **archive_evidence.SHARED,
    **irctl.IRCTL_HOME,
    **irctl.IRCTL_RECORD,
    **irctl.IRCTL_ALLOWED_SIGNERS,
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
    if params["list"] or params["drill"]:
        return _WITH_A_LIST[params["state"]](_ListRun(params, check_mode))
    return _WITHOUT[params["state"]](_CandidateRun(params, check_mode))


class _CandidateRun:
    """A run without a list: it says what could be deleted, and keeps the list of it."""

    def __init__(self, params: Params, check_mode: bool) -> None:
        self.params, self.check_mode = params, check_mode
        self.survey = Survey(params)
        self.candidates = Candidates(self.survey)

    @property
    def count(self) -> str:
        return counted(len(self.candidates.lines), "file")

    def summary(self) -> Result:
        return {"files": len(self.candidates.lines), "bytes": self.candidates.bytes}


class _ListRun:
    """A run with a list, or for what a drill has made, which needs neither list nor approval."""

    def __init__(self, params: Params, check_mode: bool) -> None:
        self.params, self.check_mode, self.survey = params, check_mode, Survey(params)
        lines, self._fault = (Candidates(self.survey).lines, "") if params["drill"] else purge_survey.read_list(params)
        self.listed = Listed(self.survey, lines)

    def require_approval(self) -> None:
        """Raises Failure where this is in earnest and the list is not approved, by those who are named, in their own hand."""
        if self.check_mode or self.params["drill"]:
            return
        if fault := self._fault or signatures.fault(self.params["record"], self.params["allowed_signers"] or ""):
            raise Failure(f"The list is not approved: {fault}.")

    @property
    def too_many(self) -> bool:
        return len(self.listed.present) > int(self.params["limit"])

    def summary(self) -> Result:
        present = [one.file for one in self.listed.present if one.file]
        return {
            "listed": len(self.listed.lines),
            "here": len(present),
            "bytes": sum(file.bytes for file in present),
            "list": self.params["list_hash"],
        }


# Without a list


def _listed_candidates(run: _CandidateRun) -> Result:
    lines, skipped, limit = run.candidates.lines, run.candidates.skipped, run.params["limit"]
    refusals = [f"{run.count} could go and the limit is {limit}. Raise --max."] if len(lines) > limit else []
    refusals += run.survey.refusals() if lines else []
    refusals += [] if run.check_mode else [NO_LIST]
    parts = [f"{run.count} could go ({sized(run.candidates.bytes)})" if lines else "nothing could go"]
    parts += [f"{counted(len(skipped), 'file')} must stay ({trees.shown(skipped)})"] if skipped else []
    parts += [run.survey.store.expiry.unasked] if lines and run.survey.store.expiry.unasked else []
    return {"changed": False, "summary": run.summary(), "refusals": refusals, "msg": ", ".join(parts)}


def _kept_list(run: _CandidateRun) -> Result:
    content = purge.text(run.candidates.lines)
    stay = [{"path": keys.plain(skipped.path), "why": skipped.reason} for skipped in run.candidates.skipped]
    evidence = {LIST: content, "purge-stays.json": json.dumps(stay, indent=1, ensure_ascii=False) + "\n"}
    return {"changed": False, "evidence": evidence if content else {}, "affected": _rows(run.candidates.lines), "msg": LIST}


def _rows(lines: list[Line]) -> list[Result]:
    return [{"delete": line.path, "sha256": line.sha256} for line in lines]


def _would_need_a_list(run: _CandidateRun) -> Result:
    if not run.check_mode:
        raise Failure(NO_LIST)
    digest = hashlib.sha256(purge.text(run.candidates.lines).encode()).hexdigest()
    next_step = f"to delete them: --list {LIST} of this run's evidence, --list-hash {digest}"
    some = bool(run.candidates.lines)
    return {"changed": some, "msg": f"{run.count} listed; {next_step}" if some else "nothing could go"}


def _nothing_to_go(run: _CandidateRun) -> Result:
    """Fails where something past retention could go, if this is in earnest."""
    _require_none(run.candidates.lines, run.check_mode)
    return {"changed": False, "summary": run.summary(), "msg": "nothing was deleted"}


def _require_none(lines: list[Line], check_mode: bool) -> None:
    if lines and not check_mode:
        count = counted(len(lines), "file")
        raise Failure(f"{count} past retention, archived and not on hold, still here, such as {lines[0].path}.")


# With a list


def _checked(run: _ListRun) -> Result:
    listed = run.listed
    present, objections = listed.present, listed.objections
    count = counted(len(present), "file")
    refusals = run.survey.refusals()
    if objections:
        refused = counted(len(objections), "file")
        refusals.append(f"{refused} of the list must not be deleted, so none is: {trees.shown(objections)}.")
    if run.too_many:
        refusals.append(f"{count} would go and the limit is {run.params['limit']}. Raise --max, or list fewer.")
    try:
        run.require_approval()
    except Failure as error:
        refusals.append(str(error))
    gone = len(listed.doomed) - len(present)
    parts = [f"{count} of the list {'is' if len(present) == 1 else 'are'} here", *([f"{gone} gone already"] if gone else [])]
    parts += [run.survey.store.expiry.unasked] if run.survey.store.expiry.unasked else []
    return {"changed": False, "summary": run.summary(), "refusals": refusals, "msg": ", ".join(parts)}


def _kept_proof(run: _ListRun) -> Result:
    subjects_by_name = {one.subject.name: one.subject for one in run.listed.doomed}
    archived = []
    for name, subject in sorted(subjects_by_name.items()):
        holdings = run.survey.holdings(subject)
        archived.append({"name": name, "root": subject.root, "manifest": holdings.number, "sha256": holdings.sha256})
    proof = {"schema": "irctl/purge/1", "bucket": run.params["bucket"], "prefix": run.survey.prefix, "archived": archived}
    evidence = {LIST: purge.text(run.listed.lines), "purge-proof.json": json.dumps(proof, indent=1) + "\n"}
    affected = _rows([one.line for one in run.listed.present])
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": LIST}


def _deleted(run: _ListRun) -> Result:
    """Nothing goes unless all may go: looked at here and asked of the store again, with every incident of it held still."""
    run.require_approval()
    with ExitStack() as still:
        reasons = [(subject, still.enter_context(subjects.undisturbed(subject))) for subject in run.listed.subjects]
        if objections := _objections(run, [Skipped(subject.root, reason) for subject, reason in reasons if reason]):
            raise Failure(f"Nothing was deleted: {trees.shown(objections)}.")
        if run.too_many:
            raise Failure("Nothing was deleted: more files than the limit.")
        present = run.listed.present
        if run.check_mode:
            return {"changed": bool(present), "msg": f"{_files(present)} would be deleted" if present else "gone already"}
        return _delete(present)


def _objections(run: _ListRun, disturbed: list[Skipped]) -> list[Skipped]:
    """Why the listed files must not be deleted, `disturbed` being the subjects that have changed; the store is asked last."""
    if reasons := run.survey.refusals():
        raise Failure(f"Nothing was deleted: {' '.join(reasons)}")
    doomed = run.listed.doomed
    roots = {one.subject.root for one in doomed}
    objections = run.listed.objections + [skipped for skipped in disturbed if skipped.path in roots]
    return objections or run.survey.unreliable(doomed)


def _delete(present: list[Doomed]) -> Result:
    failed, gone = [], list[Doomed]()
    for one in present:
        try:
            removed = one.file is not None and trees.remove(one.subject.root, one.file)
            reason = "" if removed else "changed at the last moment"
        except OSError as error:
            reason = trees.reason_of(error)
        if reason:
            failed.append(Skipped(one.line.path, reason))
        else:
            gone.append(one)
    for root in {one.subject.root for one in gone}:
        trees.remove_empty(root, {one.path for one in gone if one.subject.root == root})
    if failed:
        raise Failure(f"{_files(gone)} deleted, {_files(failed)} not: {trees.shown(failed)}.")
    size = sum(one.file.bytes for one in gone if one.file)
    return {"changed": bool(gone), "msg": f"{_files(gone)} deleted ({sized(size)})" if gone else "gone already"}


def _files(some: list[Doomed] | list[Skipped]) -> str:
    return counted(len(some), "file")


def _proved_gone(run: _ListRun) -> Result:
    """Fails where a listed file is still here, if this is in earnest, or the archive does not hold one."""
    listed = run.listed
    if run.params["drill"]:
        _require_none(listed.lines, run.check_mode)
        size = sum(one.file.bytes for one in listed.present if one.file)
        return {"changed": False, "summary": {"files": len(listed.lines), "bytes": size}, "msg": "nothing was deleted"}
    if run.check_mode:
        return {"changed": False, "summary": run.summary(), "msg": "not done in a dry run"}
    wrong = [Skipped(one.line.path, "still here") for one in listed.present] + listed.objections
    wrong += run.survey.unreliable(listed.doomed)
    if wrong:
        raise Failure(f"{_files(wrong)} not as it should be: {trees.shown(wrong)}.")
    return {"changed": False, "summary": run.summary(), "msg": f"{_files(listed.doomed)} gone here, and in the archive"}


_WITHOUT = {"listed": _listed_candidates, "captured": _kept_list, "changed": _would_need_a_list, "proved": _nothing_to_go}
_WITH_A_LIST = {"listed": _checked, "captured": _kept_proof, "changed": _deleted, "proved": _proved_gone}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
