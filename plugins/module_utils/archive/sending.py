"""Archive one subject: send its files, prove that they are there, write the manifest, and only then remove what may go here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, holdings, keys, reliance, subjects, transfer
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import plan as planning
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Store
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.plan import Plan, Request, Sent
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reliance import Relied
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.transfer import Failed, Transfer
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import AlreadyThere
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

AT_ONCE = 16  # small files under way


@dataclass
class Outcome:
    """What became of one subject. `manifest` is the sha256 of the one that was written, '' for none."""

    sent: list[Sent] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    locked: int = 0
    removed: list[str] = field(default_factory=list)
    spared: list[Skipped] = field(default_factory=list)
    manifest: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.manifest or self.removed or self.locked)

    def add(self, result: Sent | Skipped) -> None:
        if isinstance(result, Sent):
            self.sent.append(result)
        elif isinstance(result, Failed):
            self.failed.append(result)
        else:
            self.skipped.append(result)


def archive(store: Store, plan: Plan, request: Request) -> Outcome:
    """Send, prove, write the manifest, remove. Nothing is removed, and no manifest written, where a file failed."""
    if not store.has_object_lock and (reason := planning.locked_elsewhere(plan.holdings, plan.subject.name, plan.looked)):
        raise Failure(reason)
    if plan.send or plan.relock:
        store.probe(request.prefix)
    sender = Transfer(store, plan, request)
    outcome = Outcome(skipped=list(plan.skipped))
    for result in _send(sender, plan.send):
        outcome.add(result)
    if plan.relock:
        outcome.locked = _lock_again(store, plan, outcome.sent)
    if outcome.failed:
        return outcome
    if plan.relock or _is_news(plan, outcome.sent):
        outcome.manifest = _write_manifest(store, plan, request, outcome.sent, sender)
    if request.remove and not plan.subject.held:
        if reasons := planning.before_removal(plan, request, store.expiry):
            raise Failure(" ".join(reasons))
        outcome.removed, outcome.spared = _remove(store, plan, sender, outcome.sent, request.min_age)
    return outcome


def _send(sender: Transfer, files: list[File]) -> Iterable[Sent | Skipped]:
    """Many small files at once, the large ones one after the other."""
    with ThreadPoolExecutor(AT_ONCE) as crew:
        yield from crew.map(sender.send, [file for file in files if file.bytes <= transfer.SMALL])
    for file in files:
        if file.bytes > transfer.SMALL:
            yield sender.send(file)


def _is_news(plan: Plan, sent: Iterable[Sent]) -> bool:
    """Whether there is anything that the newest manifest does not say."""
    entries = plan.holdings.entries
    return any(entries.get(keys.plain(one.file.path)) != one.entry() for one in sent)


def _lock_again(store: Store, plan: Plan, sent: Iterable[Sent]) -> int:
    """Lock what was archived earlier, and the manifests that list it; what was sent now is locked."""
    earlier = sorted(holdings.known_keys(store, plan.holdings) - {one.key for one in sent})
    with ThreadPoolExecutor(AT_ONCE) as crew:
        list(crew.map(lambda key: store.retention.extend(key, plan.lock), earlier))
    return len(earlier)


def _write_manifest(store: Store, plan: Plan, request: Request, sent: list[Sent], sender: Transfer) -> str:
    """Last of all, because a manifest says that everything is there. Raises Failure."""
    content = planning.manifest(plan, sent, request, time.time())
    expected = checksums.sum_of(content)
    key = keys.manifest_key(request.prefix, plan.subject.name, plan.holdings.number + 1)
    try:
        store.writer.put(key, content, expected, plan.new_lock)
    except AlreadyThere:
        if store.reader.read(key) != content:  # else it is this one, and only the answer was lost
            raise Failure(f"Somebody else has archived {plan.subject.name} at the same time; run this again.") from None
    sender.prove(key, expected)
    if store.reader.read(key) != content:
        raise Failure(f"The store does not hold what was sent as {key}.")
    return expected.sha256


def _remove(store: Store, plan: Plan, sender: Transfer, sent: list[Sent], min_age: float) -> tuple[list[str], list[Skipped]]:
    """Remove what the store is seen to hold again, after a while, and nobody has touched since. An incident's own record stays."""
    subject, removed, spared = plan.subject, list[str](), list[Skipped]()
    leaving = [one for one in sent if one.file.path not in subject.stays]
    relied = [Relied(one.key, one.sum, one.trusted, sender.lock_of(one.key)) for one in leaving]
    for one, reason in zip(leaving, reliance.objections(store, relied, min_age, fresh=True), strict=True):
        if reason:
            raise Failure(f"Nothing of {subject.name} was removed here: {printable(keys.plain(one.file.path), 200)}: {reason}.")
    with subjects.undisturbed(subject) as objection:
        for one in leaving:
            if objection or one.note or not _is_removed(subject.root, one.file):
                spared.append(Skipped(one.file.path, objection or one.note or "changed since it was read"))
            else:
                removed.append(one.file.path)
    trees.remove_empty(subject.root, set(removed))
    return removed, spared


def _is_removed(root: str, file: File) -> bool:
    try:
        return trees.remove(root, file)
    except OSError:
        return False
