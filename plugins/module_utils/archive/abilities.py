"""What a store was seen to understand. Stores that speak S3 differ, and some accept what they do not do."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Answer, text_of
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure


@dataclass
class Abilities:
    """What the store may be asked for. `object_lock` holds only where the bucket said so in this run."""

    object_lock: bool = False
    conditional_writes: bool = True  # makes an object only where there is none (If-None-Match), as far as was seen
    checksums: bool = True  # takes and returns checksums; Backblaze refuses a request that names one
    trusted: bool = False  # was seen to refuse content whose checksum is wrong, so that its checksums prove something

    def learn(self, answer: Answer) -> None:
        """Where the store says that it does not know a header, that one is not sent again."""
        message = text_of(answer.body, "Message").lower() if answer.status in (400, 501) else ""
        if "header" in message and "checksum" in message:
            self.checksums = False
        elif answer.status == 501 or ("header" in message and "if-none-match" in message):
            self.conditional_writes = False

    def lock_headers(self, lock: Lock) -> dict[str, str]:
        """The headers that lock an object as it is made. Raises Failure where the bucket has no Object Lock."""
        self.require_object_lock(lock)
        return lock.headers()

    def require_object_lock(self, lock: Lock) -> None:
        """Raises Failure where something is to be locked and the bucket did not say that it has Object Lock."""
        if lock.headers() and not self.object_lock:
            raise Failure("The bucket does not say that it has Object Lock, so nothing can be locked there; nothing was sent.")
