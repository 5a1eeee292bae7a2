"""What a bucket says of itself: that it is there, whether it has Object Lock and versions, and what it lets expire."""

from __future__ import annotations

import time
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import lifecycle
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.lifecycle import Rule
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import http_moment
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Answer, Bucket, root_of, text_of
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration, printable

UNKNOWN = "this store does not answer what lifecycle rules it has, so what it removes by itself cannot be asked"
OUTSIDE = "what a store lets expire by means of its own, such as a TTL of SeaweedFS on a path, cannot be asked"


SKEW = 900.0  # seconds, as AWS has it


class Expiry(NamedTuple):
    """What the bucket lets expire: its rules, why they may not be asked ('' for they were), and what cannot be asked at all."""

    rules: list[Rule]
    refused: str
    unasked: str


def require(bucket: Bucket, name: str) -> None:
    """Raises Failure where there is no such bucket, or it is not ours to look at."""
    answer = bucket.ask("HEAD")
    region = answer.headers.get("x-amz-bucket-region", "")
    elsewhere = answer.status in (301, 307) or (answer.status == 400 and region not in ("", bucket.region))
    if answer.status in (400, 403):  # the answer to a HEAD has no body, so that it does not say why
        answer = bucket.ask("GET", query=[("list-type", "2"), ("max-keys", "0")])
    if answer.status == 404:
        raise Failure(f"There is no bucket {name}; make it, with versioning and Object Lock, before evidence goes there.")
    if elsewhere and not answer.ok:
        raise Failure(f"The bucket {name} is in {printable(region or 'another region', 80)}; set aws_region.")
    answer.require(f"a look at the bucket {name}")
    if why := clock_objection(answer, time.time()):
        raise Failure(why)


def clock_objection(answer: Answer, now: float) -> str:
    """Why this machine's clock is not to be trusted with retention, by that of the store; '' where both tell the same time."""
    ahead = now - (http_moment(answer.headers.get("date", "")) or now)
    if abs(ahead) <= SKEW:
        return ""
    difference = f"{duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'}"
    return f"The clock of this machine is {difference} that of the store, so what is past retention cannot be told. Set it right."


def has_object_lock(bucket: Bucket, *, is_aws: bool) -> bool:
    """Whether the bucket says that objects can be locked. Some stores answer this with a list of objects."""
    answer = bucket.ask("GET", query=[("object-lock", "")])
    if answer.status == 403:
        raise answer.failure("a look at its Object Lock")
    if not answer.ok or root_of(answer.body) != "ObjectLockConfiguration":
        return False
    return text_of(answer.body, "ObjectLockEnabled") == "Enabled" and (is_aws or not _is_suspended(bucket))


def _is_suspended(bucket: Bucket) -> bool:
    """Whether versions are told to be off. What is written over then has no lock; AWS does not allow it, others do."""
    answer = bucket.ask("GET", query=[("versioning", "")])
    if answer.status == 403:
        raise answer.failure("a look at its versions")
    return answer.ok and text_of(answer.body, "Status") == "Suspended"


def expiry(bucket: Bucket, *, is_aws: bool) -> Expiry:
    """What the bucket lets expire, as far as that can be asked."""
    answer = bucket.ask("GET", query=[("lifecycle", "")])
    outside = "" if is_aws else OUTSIDE
    if answer.status == 403:
        return Expiry([], f"Whether lifecycle rules of the bucket delete evidence may not be asked ({printable(answer.code, 80)}); "
                      "allow s3:GetLifecycleConfiguration.", outside)  # fmt: skip
    if answer.code == "NoSuchLifecycleConfiguration":
        return Expiry([], "", outside)
    rules = _rules(answer)
    return Expiry(rules or [], "", outside if rules is not None else UNKNOWN)


def _rules(answer: Answer) -> list[Rule] | None:
    return lifecycle.parse(answer.body) if answer.ok else None
