"""What is about to be relied on alone, because the local copy goes: asked of the store again, once it is old enough there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import lifecycle, locks
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.holdings import AT_ONCE
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Store
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable


@dataclass(frozen=True)
class Relied:
    """An object that is to be relied on: what it must be, whether the store's checksums prove that, and how it must be locked."""

    key: str
    expected: Sum
    trusted: bool
    lock: Lock


@dataclass(frozen=True)
class _Answer:
    reason: str
    age: float


def objections(store: Store, relied: Sequence[Relied], min_age: float, *, fresh: bool) -> list[str]:
    """Why each of these objects may not be relied on, '' where it may.

    All are asked for again after a pause where one is younger than `min_age` seconds, or was locked in this run (`fresh`): a store
    may drop an object, or its lock, only after it has answered. Raises Failure or Unreachable.
    """
    answers = _ask(store, relied)
    if not relied or any(answer.reason for answer in answers):
        return [answer.reason for answer in answers]
    pause = min_age if fresh else min_age - min(answer.age for answer in answers)
    if pause > 0:
        time.sleep(pause)
        answers = _ask(store, relied)
    return [answer.reason for answer in answers]


def _ask(store: Store, relied: Sequence[Relied]) -> list[_Answer]:
    with ThreadPoolExecutor(AT_ONCE) as crew:
        return list(crew.map(lambda one: _ask_for(store, one), relied))


def _ask_for(store: Store, one: Relied) -> _Answer:
    now = time.time()
    stored = store.reader.matching(one.key, one.expected, trusted=one.trusted)
    if stored is None:
        return _Answer("the store does not hold it", 0)
    if one.lock.in_force(now) and not stored.lock.covers(one.lock):
        return _Answer("the store does not lock it as its manifest says", 0)
    made = stored.made or now
    if rule := lifecycle.too_early(store.expiry.rules, one.key, made, locks.moment(stored.lock.until), now):
        return _Answer(f"a lifecycle rule of the bucket ({printable(rule.name, 60)}) deletes it there too early", 0)
    return _Answer("", stored.age)
