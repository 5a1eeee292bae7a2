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
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import manifest, object_store, sending
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.manifest import Plan, Subject, Wish
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.sending import Done, counted, listed, sized
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence, aws, irctl
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Left

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
    wish = Wish(
        manifest.check_prefix(params["prefix"]),
        values.seconds(params["retain"]) if params["retain"] else 0,
        params["retain_mode"],
        params["remove_local"] and not params["thorough"],
    )
    older = values.seconds(params["older_than"])
    subjects, aside = _subjects(params, older)
    return _STEPS[params["state"]](_Look(params, wish, subjects, aside), check_mode)


def _subjects(params: Params, older: int) -> tuple[list[Subject], list[Left]]:
    if params["tree"]:
        return [sending.tree(params["tree"], params["home"] or "")], []
    if not params["home"]:
        raise ValueError("tree: none is named, and irctl_home neither; one of them is needed")
    return sending.subjects(params["home"], older, time.time())


class _Look:
    """What there is here and in the archive, now."""

    def __init__(self, params: Params, wish: Wish, subjects: list[Subject], aside: list[Left]) -> None:
        self.params, self.wish, self.aside = params, wish, aside
        self.now, self.older = time.time(), values.seconds(params["older_than"])
        self.store = object_store.open_store(params["bucket"], params)
        self.plans = [self._plan(subject) for subject in subjects]

    def _plan(self, subject: Subject) -> Plan:
        found = sending.files_of(subject, self.now - self.older)
        kept = sending.kept(self.store, self.wish.prefix, subject.name)
        return manifest.plan(subject, found, kept, self.wish, self.now)

    @property
    def nothing(self) -> str:
        """What is said where there is nothing to archive."""
        what = "no file is older than" if self.params["tree"] else "no incident is closed for more than"
        return f"{what} {self.params['older_than']}"

    def summary(self) -> Result:
        names = {
            one.subject.name: {
                "files": len(one.send) + len(one.same),
                "bytes": sum(file.bytes for file in one.send + one.same),
                "manifest": one.kept.number,
                "sha256": one.kept.sha256,
                **({"held": one.subject.held} if one.subject.held else {}),
            }
            for one in self.plans
        }
        return {"bucket": self.params["bucket"], "prefix": self.wish.prefix, "names": names}


def _listed(look: _Look, check_mode: bool) -> Result:
    limits = {"limit": look.params["limit"], "limit_bytes": look.params["limit_gib"] << 30}
    refusals = manifest.refusals(look.plans, look.wish, locks=look.store.locks(), **limits)
    return {"changed": False, "summary": look.summary(), "refusals": refusals, "msg": _to_do(look) or look.nothing}


def _to_do(look: _Look) -> str:
    files = sum(len(one.send) for one in look.plans)
    size = sum(one.bytes for one in look.plans)
    same = sum(len(one.same) for one in look.plans)
    said = [f"{counted(files)} to send ({sized(size)})"] if files else []
    said += [f"{counted(same)} archived already"] if same else []
    said += [f"{counted(len(look.aside), 'incident')} left alone: {listed(look.aside)}"] if look.aside else []
    return ", ".join(said)


def _captured(look: _Look, check_mode: bool) -> Result:
    document = [
        {
            "name": one.subject.name,
            "root": one.subject.root,
            "held": one.subject.held,
            "lock": vars(one.lock),
            "send": [{"path": manifest.plain(file.path), "bytes": file.bytes} for file in one.send],
            "archived": len(one.same),
            "left_out": [{"path": manifest.plain(left.path), "why": left.why} for left in one.left],
        }
        for one in look.plans
    ]
    aside = [{"incident": left.path, "why": left.why} for left in look.aside]
    text = json.dumps({"schema": "irctl/archive-plan/1", "names": document, "aside": aside}, indent=1, ensure_ascii=False) + "\n"
    return {"changed": False, "evidence": {"archive-plan.json": text}, "msg": "archive-plan.json"}


def _changed(look: _Look, check_mode: bool) -> Result:
    if check_mode:
        return {"changed": any(_would(one, look.wish) for one in look.plans), "msg": _would_do(look)}
    done = [sending.Sending(look.store, one, look.wish).carry_out() for one in look.plans]
    if failed := [left for one in done for left in one.failed]:
        raise Failure(f"{counted(len(failed))} could not be archived: {listed(failed)}. {RETRY}")
    return {
        "changed": any(one.manifest or one.removed or one.locked for one in done),
        "msg": _was_done(done) or _to_do(look) or look.nothing,
    }


def _would(one: Plan, wish: Wish) -> bool:
    removes = wish.remove and not one.subject.held and any(file.path not in one.subject.stays for file in one.send)
    known = one.kept.entries
    new = any((known.get(manifest.plain(file.path)) or {}).get("mtime") != file.mtime for file in one.send)
    return removes or new or one.relock


def _would_do(look: _Look) -> str:
    said = [_to_do(look) or look.nothing]
    relock = sum(len(sending.known_keys(look.store, one.kept)) for one in look.plans if one.relock)
    said += [f"{counted(relock, 'object')} to lock"] if relock else []
    removes = sum(file.path not in one.subject.stays for one in look.plans if not one.subject.held for file in one.send)
    said += [f"{counted(removes)} to remove here"] if look.wish.remove else []
    return ", ".join(said)


def _was_done(done: list[Done]) -> str:
    sent = [file for one in done for file in one.sent if file.new]
    known = sum(not file.new for one in done for file in one.sent)
    said = [f"{counted(len(sent))} archived ({sized(sum(file.sum.bytes for file in sent))})"] if sent else []
    said += [f"{counted(known)} found in the archive"] if known else []
    said += [f"{counted(sum(one.locked for one in done), 'object')} locked"] if any(one.locked for one in done) else []
    said += [f"{counted(sum(len(one.removed) for one in done))} removed here"] if any(one.removed for one in done) else []
    notes = [Left(file.file.path, file.note) for one in done for file in one.sent if file.note]
    said += [f"noted: {listed(notes)}"] if notes else []
    spared = [left for one in done for left in one.spared]
    said += [f"not removed: {listed(spared)}"] if spared else []
    left = [left for one in done for left in one.left]
    said += [f"not taken: {listed(left)}"] if left else []
    return ", ".join(said)


def _proved(look: _Look, check_mode: bool) -> Result:
    """Hold the archive against its manifests; Failure where something is not there, if this is in earnest."""
    result = {"changed": False, "summary": look.summary()}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    for one in look.plans:
        _prove(look, one)
    objects = sum(len(one.kept.entries) for one in look.plans)
    how = "read back" if look.params["thorough"] else "in the archive, its manifest read back"
    return {**result, "msg": f"{counted(objects, 'object')} {how}" if look.plans else look.nothing}


def _prove(look: _Look, one: Plan) -> None:
    name, thorough = one.subject.name, look.params["thorough"]
    if not one.kept.manifest and one.send:
        raise Failure(f"{name} is not archived: {counted(len(one.send))}, and it has no manifest.")
    if bad := one.kept.lost or (sending.prove(look.store, one.kept) if thorough else []):
        raise Failure(f"{counted(len(bad), 'object')} of {name} not as the manifest says, such as {bad[0]}.")
    if missing := [manifest.plain(file.path) for file in one.send] if thorough else manifest.missing(one, look.older):
        raise Failure(f"{name} is not archived whole: {counted(len(missing))} not in its manifest as now, such as {missing[0]}.")


_STEPS = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
