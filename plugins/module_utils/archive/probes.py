"""Try what a store does with a wrong checksum, and with writers that race for one key; what that makes is removed again."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import to_base64
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import EMPTY, Answer, Bucket
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import ONLY_NEW, Writer

CONTENT = b"The checksum of this is wrong, to see whether the store looks at checksums.\n"
RACERS = 3


def refuses_wrong_checksum(bucket: Bucket, prefix: str) -> tuple[bool, Answer]:
    """Whether the store refuses content whose checksum is wrong, and what it said."""
    key = f"{prefix}/probe"
    wrong = {"x-amz-checksum-sha256": to_base64(EMPTY), "x-amz-sdk-checksum-algorithm": "SHA256"}
    answer = bucket.ask("PUT", key, (), wrong, CONTENT, hashlib.sha256(CONTENT).hexdigest())
    if answer.ok:
        _remove(bucket, key, answer)
    return answer.status == 400 and ("Digest" in answer.code or "Checksum" in answer.code), answer


def lets_one_writer_win(bucket: Bucket, writer: Writer, prefix: str) -> bool:
    """Whether of several that ask at once for a key that only one may make, one at most gets it. Raises Failure, Unreachable."""
    key = f"{prefix}/probe-writers"

    def race(number: int) -> Answer:
        content = f"Writer {number} of {RACERS}, to see whether only one of them may make this.\n".encode()
        return writer.send("PUT", key, (), ONLY_NEW, content, hashlib.sha256(content).hexdigest())

    with ThreadPoolExecutor(RACERS) as crew:
        answers = list(crew.map(race, range(1, RACERS + 1)))
    winners = [answer for answer in answers if answer.ok]
    for answer in winners:
        _remove(bucket, key, answer)
    for answer in answers:
        if not answer.ok and answer.status not in (
            400,
            409,
            412,
            501,
        ):  # 400 and 501 do not know the header
            answer.require("a try whether it keeps what is there")
    return len(winners) <= 1 and any(answer.status in (409, 412) for answer in answers)


def _remove(bucket: Bucket, key: str, made: Answer) -> None:
    """With its version, else a marker would stand in its place for ever."""
    version = made.headers.get("x-amz-version-id")
    bucket.ask("DELETE", key, [("versionId", version)] if version else ())
