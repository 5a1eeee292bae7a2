#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Copy old evidence to an S3 store, and prove by the store's own checksums that it is there."""

from __future__ import annotations

DOCUMENTATION = """
module: archive_evidence
short_description: Copy old evidence to an S3 store, and prove that it is there
description:
  - Sends what is old of an irctl home's closed incidents, or of a folder, to a bucket. Each file's sha256 is taken as it is read,
    goes with it as its checksum, and is read back from the store; where it tells none, the object is downloaded and hashed.
  - A manifest goes last, so that its presence says that all of it is there. Nothing in the store is ever overwritten.
  - Objects are retained and put on legal hold by Object Lock as asked, and where an incident is on hold.
  - Removes the local files only when told to, after all of that, and none of an incident on hold or of a file changed meanwhile.
  - Own module, because C(amazon.aws.s3_object) takes a task for each file and proves by ETag, and C(community.aws.s3_sync) is
    skipped in check mode, follows links, and neither locks nor proves.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  thorough:
    description: With V(state=proved), ask the store for the checksum and the lock of every object, and fail where something old is
      not there as it is here. Otherwise its manifest and list do, because V(state=changed) has asked for each as it was sent.
    type: bool
    default: false
extends_documentation_fragment: [irctl.runbooks.archive_evidence, irctl.runbooks.irctl.irctl_home, irctl.runbooks.aws]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What would be archived
  irctl.runbooks.archive_evidence:
    tree: /var/lib/app/evidence
    bucket: example-evidence
"""
RETURN = """
summary:
  description: The bucket, and of each name its files, bytes, number of manifest and manifest's sha256.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
in_short:
  description: What was left out, noted or spared, for people.
  returned: when proved
  type: str
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import trees, values
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import holdings, keys, object_store, sending, subjects
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import plan as planning
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.plan import Plan, Request
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.sending import Outcome
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.subjects import Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence, aws, irctl
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, printable, sized

SHARED = ("aws_", "irctl_")
OWN_NAMES = {"max": "limit", "max_gib": "limit_gib"}
PARAMETERS: dict[str, Any] = {
    **archive_evidence.MAIN,
    **irctl.IRCTL_HOME,
    **aws.ARGUMENTS,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "thorough": {"type": "bool", "default": False},
    **PARAMETERS,
}
RETRY = "Everything else is there; run it again."

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    if not params["bucket"]:
        raise ValueError("bucket: none is named; set archive_evidence_bucket")
    return _STEPS[params["state"]](_Survey(params), check_mode)


class _Survey:
    """What there is here and in the archive, now, and what is to be done with it."""

    def __init__(self, params: Params) -> None:
        self.params, self.now = params, time.time()
        self.request = Request(
            keys.check_prefix(params["prefix"]),
            values.seconds(params["retain"]) if params["retain"] else 0,
            params["retain_mode"],
            params["remove_local"] and not params["thorough"],
            values.seconds(params["min_age"]),
        )
        self.older = values.seconds(params["older_than"])
        chosen, self.aside = subjects.select(params["home"] or "", params["tree"] or "", self.older, self.now)
        self.store = object_store.open_store(params["bucket"], params)
        self.plans = [self._plan(subject) for subject in chosen]

    def _plan(self, subject: Subject) -> Plan:
        listing = subjects.files_of(subject, self.now - self.older)
        archived = holdings.load(self.store, self.request.prefix, subject.name)
        return planning.plan(subject, listing, archived, self.request, self.now)

    @property
    def nothing_to_do(self) -> str:
        """What is said where there is nothing to archive."""
        what = "no file is older than" if self.params["tree"] else "no incident is closed for more than"
        return f"{what} {self.params['older_than']}"

    def summary(self) -> Result:
        names = {plan.subject.name: _in_numbers(plan) for plan in self.plans}
        return {"bucket": self.params["bucket"], "prefix": self.request.prefix, "names": names}


def _in_numbers(plan: Plan) -> Result:
    numbers = {
        "files": len(plan.send) + len(plan.unchanged),
        "bytes": sum(file.bytes for file in plan.send + plan.unchanged),
        "manifest": plan.holdings.number,
        "sha256": plan.holdings.sha256,
    }
    return {**numbers, "held": plan.subject.held} if plan.subject.held else numbers


def _listed(survey: _Survey, check_mode: bool) -> Result:
    limits = {"limit": survey.params["limit"], "limit_bytes": survey.params["limit_gib"] << 30}
    store = survey.store
    expiry = store.expiry if survey.request.remove else None
    refusals = planning.refusals(survey.plans, survey.request, has_object_lock=store.has_object_lock, expiry=expiry, **limits)
    message = _joined({_to_do(survey) or survey.nothing_to_do: True, expiry.unasked if expiry else "": expiry and expiry.unasked})
    return {"changed": False, "summary": survey.summary(), "refusals": refusals, "msg": message}


def _to_do(survey: _Survey) -> str:
    send = [file for plan in survey.plans for file in plan.send]
    unchanged = sum(len(plan.unchanged) for plan in survey.plans)
    parts = {
        f"{_files(send)} to send ({sized(sum(file.bytes for file in send))})": send,
        f"{counted(unchanged, 'file')} archived already": unchanged,
        f"{counted(len(survey.aside), 'incident')} left alone: {trees.shown(survey.aside)}": survey.aside,
        (lost := _lost(survey)): lost,
    }
    return _joined(parts)


def _lost(survey: _Survey) -> str:
    """What the archive does not have any more, and is sent again, in words; '' for nothing."""
    lost = [f"{plan.subject.name}/{path}" for plan in survey.plans for path in plan.holdings.lost]
    example = printable(lost[0], 200) if lost else ""
    return f"{counted(len(lost), 'object')} of the archive lost, or others by now: {example}; look for who did that" if lost else ""


def _captured(survey: _Survey, check_mode: bool) -> Result:
    aside = [{"incident": skipped.path, "why": skipped.reason} for skipped in survey.aside]
    document = {"schema": "irctl/archive-plan/1", "names": [_kept_plan(plan) for plan in survey.plans], "aside": aside}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    affected = [row for plan in survey.plans for row in _rows(plan, survey.request)]
    return {"changed": False, "evidence": {"archive-plan.json": text}, "affected": affected, "msg": "archive-plan.json"}


def _rows(plan: Plan, request: Request) -> Iterator[Result]:
    """What is sent, what is removed here after it, and whose objects get another lock."""
    root = plan.subject.root
    yield from ({"send": os.path.join(root, keys.plain(file.path)), "bytes": file.bytes} for file in plan.send)
    yield from ({"remove_here": os.path.join(root, keys.plain(file.path))} for file in plan.removable if request.remove)
    yield from ({"lock": name} for name in [plan.subject.name] if plan.relock)


def _kept_plan(plan: Plan) -> Result:
    return {
        "name": plan.subject.name,
        "root": plan.subject.root,
        "held": plan.subject.held,
        "lock": vars(plan.lock),
        "send": [{"path": keys.plain(file.path), "bytes": file.bytes} for file in plan.send],
        "archived": len(plan.unchanged),
        "left_out": [{"path": keys.plain(skipped.path), "why": skipped.reason} for skipped in plan.skipped],
    }


def _changed(survey: _Survey, check_mode: bool) -> Result:
    if check_mode:
        changed = any(_would_change(plan, survey.request) for plan in survey.plans)
        return {"changed": changed, "msg": _would_do(survey)}
    lost = _lost(survey)
    outcomes = [sending.archive(survey.store, plan, survey.request) for plan in survey.plans]
    if failed := [skipped for outcome in outcomes for skipped in outcome.failed]:
        raise Failure(f"{_files(failed)} could not be archived: {trees.shown(failed)}. {RETRY}")
    changed = any(outcome.changed for outcome in outcomes)
    message = ", ".join(filter(None, [_was_done(outcomes), lost])) or _to_do(survey) or survey.nothing_to_do
    shared = f"this store writes over what is there, so no other controller may use the prefix {survey.request.prefix}"
    return {"changed": changed, "msg": _joined({message: True, shared: not survey.store.abilities.conditional_writes})}


def _would_change(plan: Plan, request: Request) -> bool:
    entries = plan.holdings.entries
    new = any((entries.get(keys.plain(file.path)) or {}).get("mtime") != file.mtime for file in plan.send)
    return new or bool(plan.holdings.lost) or plan.relock or (request.remove and bool(plan.removable))


def _would_do(survey: _Survey) -> str:
    relock = [plan for plan in survey.plans if plan.relock]
    objects = sum(len(holdings.known_keys(survey.store, plan.holdings)) for plan in relock)
    removable = [file for plan in survey.plans for file in plan.removable]
    parts = {
        _to_do(survey) or survey.nothing_to_do: True,
        f"{counted(objects, 'object')} to lock": objects,
        f"{_files(removable)} to remove here": survey.request.remove,
    }
    return _joined(parts)


def _was_done(outcomes: list[Outcome]) -> str:
    sent = [file for outcome in outcomes for file in outcome.sent]
    new = [file for file in sent if file.new]
    locked = sum(outcome.locked for outcome in outcomes)
    removed = [path for outcome in outcomes for path in outcome.removed]
    notes = [Skipped(file.file.path, file.note) for file in sent if file.note]
    spared = [skipped for outcome in outcomes for skipped in outcome.spared]
    skipped = [skipped for outcome in outcomes for skipped in outcome.skipped]
    parts = {
        f"{_files(new)} archived ({sized(sum(file.sum.bytes for file in new))})": new,
        f"{counted(len(sent) - len(new), 'file')} found in the archive": len(sent) - len(new),
        f"{counted(locked, 'object')} locked": locked,
        f"{_files(removed)} removed here": removed,
        f"noted: {trees.shown(notes)}": notes,
        f"not removed: {trees.shown(spared)}": spared,
        f"not taken: {trees.shown(skipped)}": skipped,
    }
    return _joined(parts)


def _files(some: list[Any]) -> str:
    return counted(len(some), "file")


def _joined(parts: Mapping[str, object]) -> str:
    """The sentences whose value is true, one after the other."""
    return ", ".join(sentence for sentence, holds in parts.items() if holds)


def _proved(survey: _Survey, check_mode: bool) -> Result:
    """Hold the archive against its manifests; Failure where something is not there, if this is in earnest."""
    result = {"changed": False, "summary": survey.summary()}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    for plan in survey.plans:
        _prove(survey, plan)
    objects = sum(len(plan.holdings.entries) for plan in survey.plans)
    how = "read back" if survey.params["thorough"] else "in the archive, its manifest read back"
    return {**result, "msg": f"{counted(objects, 'object')} {how}" if survey.plans else survey.nothing_to_do}


def _prove(survey: _Survey, plan: Plan) -> None:
    name, thorough, archived = plan.subject.name, survey.params["thorough"], plan.holdings
    if not archived.manifest and plan.send:
        raise Failure(f"{name} is not archived: {_files(plan.send)}, and it has no manifest.")
    if thorough and (reason := _not_the_archive(survey, plan)):
        raise Failure(reason)
    if bad := archived.lost or (holdings.unproved(survey.store, archived) if thorough else []):
        raise Failure(f"{counted(len(bad), 'object')} of {name} not as the manifest says, such as {bad[0]}.")
    if missing := [keys.plain(file.path) for file in plan.send] if thorough else planning.missing(plan, survey.older):
        count = _files(missing)
        raise Failure(f"{name} is not archived whole: {count} not in its manifest as now, such as {missing[0]}.")


def _not_the_archive(survey: _Survey, plan: Plan) -> str:
    """Why what this bucket has under the name is not the archive any more, or ''."""
    name, archived = plan.subject.name, plan.holdings
    if lost := archived.lost_manifests:
        return f"The archive has lost manifest {lost[0]} of {name}. Look for who deleted it."
    return "" if survey.store.has_object_lock else planning.locked_elsewhere(archived, name, survey.now)


_STEPS = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
