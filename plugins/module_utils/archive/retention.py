"""Retention and legal hold of objects that are in the store already: never less than they have."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock, instant
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reader import Reader
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import XML, Headers, Writer
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure


class Retention:
    """Locks the objects of one bucket."""

    def __init__(self, abilities: Abilities, reader: Reader, writer: Writer) -> None:
        self._abilities, self._reader, self._writer = abilities, reader, writer

    def extend(self, key: str, lock: Lock) -> None:
        """Lock an object that is there already, never less than it is, whoever did that. Raises Failure.

        Nothing is sent where the bucket did not say that it has Object Lock: some stores take the request for the object itself.
        """
        self._abilities.require_object_lock(lock)
        stored = self._reader.look(key)
        current, now = stored.lock if stored else Lock(), instant(datetime.now(UTC).isoformat())
        if lock.until > now and not current.covers(Lock(lock.mode, lock.until)):
            strict = current.mode == "COMPLIANCE" and current.until > now
            self._retain(key, current, Lock(current.mode if strict else lock.mode, max(lock.until, current.until)))
        if lock.hold and not current.hold:
            self._configure(key, "legal-hold", "<LegalHold><Status>ON</Status></LegalHold>")

    def _retain(self, key: str, current: Lock, lock: Lock) -> None:
        """Give an object a retention that is no less than what it has. A stricter mode may need the right to bypass the other."""
        document = f"<Retention><Mode>{lock.mode}</Mode><RetainUntilDate>{lock.until}</RetainUntilDate></Retention>"
        try:
            self._configure(key, "retention", document)
        except Failure:
            if (current.mode, lock.mode) != ("GOVERNANCE", "COMPLIANCE"):
                raise
            self._configure(key, "retention", document, {"x-amz-bypass-governance-retention": "true"})

    def _configure(self, key: str, what: str, document: str, headers: Headers | None = None) -> None:
        body = document.encode()
        digest = hashlib.sha256(body).hexdigest()
        answer = self._writer.send("PUT", key, [(what, "")], {**XML, **(headers or {})}, body, digest)
        answer.require(f"the {what} of {key}")
