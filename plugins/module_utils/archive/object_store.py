"""One bucket of an object store: what it holds is read, written once, locked, and read back as proof."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import bucket_settings, probes, s3_requests
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.bucket_settings import Expiry
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reader import Reader
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.retention import Retention
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Bucket
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.uploads import Uploads
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import Writer
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients


def open_store(bucket: str, params: Mapping[str, Any]) -> Store:
    """The bucket that the settings name. Raises Failure, Unreachable or ValueError, also where there is no such bucket."""
    credentials, region, endpoint = clients.identity(params)
    proxy = urlsplit((clients.proxies_of(params) or {}).get("https", "")).netloc
    place = s3_requests.place(bucket, region, endpoint)
    asked = Bucket(place, credentials, proxy=proxy, ca_file=clients.ca_file_of(params))
    store = Store(bucket, asked, is_aws=not endpoint)
    store.require()
    return store


class Store:
    """One bucket, for any number of threads: who reads it, who writes to it, and what it was seen to be able to do."""

    def __init__(self, name: str, bucket: Bucket, *, is_aws: bool = False) -> None:
        self.name, self._bucket, self._is_aws = name, bucket, is_aws
        self.abilities = Abilities()
        self.reader = Reader(bucket, self.abilities)
        self.writer = Writer(bucket, self.abilities, self.reader)
        self.uploads = Uploads(bucket, self.abilities, self.writer)
        self.retention = Retention(self.abilities, self.reader, self.writer)
        self._probed = False

    def require(self) -> None:
        """Ask what it must be known to be. Raises Failure where there is no such bucket, or it is not ours to look at."""
        bucket_settings.require(self._bucket, self.name)
        self.abilities.object_lock = bucket_settings.has_object_lock(self._bucket, is_aws=self._is_aws)

    @property
    def has_object_lock(self) -> bool:
        """Whether the bucket said in this run that objects can be locked here."""
        return self.abilities.object_lock

    @cached_property
    def expiry(self) -> Expiry:
        """What the bucket lets expire."""
        return bucket_settings.expiry(self._bucket, is_aws=self._is_aws)

    def probe(self, prefix: str) -> None:
        """Learn, before anything is sent below the prefix, whether its checksums and its refusals to overwrite can be trusted."""
        if self._probed:
            return
        self.abilities.trusted, answer = probes.refuses_wrong_checksum(self._bucket, prefix)
        self.abilities.learn(answer)
        self.abilities.conditional_writes &= probes.lets_one_writer_win(self._bucket, self.writer, prefix)
        self._probed = True
