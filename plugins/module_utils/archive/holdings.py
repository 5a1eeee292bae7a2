"""What the archive holds of one subject: its newest manifest, and the objects that are there. Pure, but for `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, keys
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Store
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reader import Missing, Stored
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SCHEMA = "irctl/archive/1"
AT_ONCE = 16  # objects that are asked for

Entry = dict[str, Any]


@dataclass
class Holdings:
    """What the archive holds of one subject: its newest manifest, where there is one, and all objects by key."""

    objects: dict[str, Stored] = field(default_factory=dict)
    number: int = 0
    sha256: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    manifests: dict[int, str] = field(default_factory=dict)  # the keys of all of them by their numbers

    @property
    def entries(self) -> dict[str, Entry]:
        """What the newest manifest lists, by path."""
        return {entry["path"]: entry for entry in self.manifest.get("files", [])}

    @property
    def lock(self) -> Lock:
        """How the newest manifest says that what was archived before it is locked."""
        return Lock(**self.manifest["lock"]) if self.manifest else Lock()

    @property
    def last_lock(self) -> Lock:
        """The lock that ends last of all that the newest manifest tells of."""
        return replace(self.lock, until=max(self.lock.until, self.manifest.get("retained_until", "")))

    @property
    def lost_manifests(self) -> list[int]:
        """The numbers of manifests that were written before the newest, and are no longer listed."""
        return [number for number in range(1, self.number) if number not in self.manifests]

    def has(self, entry: Entry) -> bool:
        """Whether the object of this entry is the one that was proved when the manifest was written."""
        stored = self.objects.get(entry["key"])
        return stored is not None and (stored.bytes, stored.etag) == (entry["bytes"], entry["etag"])

    @property
    def lost(self) -> list[str]:
        """The paths whose objects are missing, or are others."""
        return [entry["path"] for entry in self.manifest.get("files", []) if not self.has(entry)]


def load(store: Store, prefix: str, name: str) -> Holdings:
    """Ask the store what it holds under a name, in a few requests."""
    holdings = Holdings({stored.key: stored for stored in store.reader.list(f"{prefix}/files/{name}/")})
    manifests = store.reader.list(f"{prefix}/manifests/{name}/")
    listed = {keys.manifest_number(prefix, name, stored.key): stored.key for stored in manifests}
    listed.pop(0, None)
    holdings.manifests = listed
    if listed:
        holdings.number = max(listed)
        key = listed[holdings.number]
        content = _read_manifest(store, name, key)
        holdings.sha256 = checksums.sum_of(content).sha256
        holdings.manifest = parse(content, key, name, holdings.number)
    return holdings


def known_keys(store: Store, holdings: Holdings) -> set[str]:
    """The keys of a name's manifests, and of all that any of them lists and is there: what has other content by now as well."""
    known = set(holdings.manifests.values())
    for number, key in holdings.manifests.items():
        name = holdings.manifest["name"]
        manifest = parse(_read_manifest(store, name, key), key, name, number)
        known |= {entry["key"] for entry in manifest["files"]} & set(holdings.objects)
    return known


def _read_manifest(store: Store, name: str, key: str) -> bytes:
    """A manifest that the store lists. Raises Failure, also where it is lost."""
    try:
        return store.reader.read(key)
    except Missing:
        reason = "the store lists it, and has nothing there"
        raise Failure(f"The archive has lost a manifest of {name}: {printable(key, 200)} ({reason}).") from None


def unproved(store: Store, holdings: Holdings) -> list[str]:
    """Ask the store for the checksum of every object of the newest manifest, and for the lock of what earlier ones list and of
    those; return the paths of what is not as the manifest says, of what is not in it the key.
    """

    def is_sound(entry: Entry) -> bool:
        stored = store.reader.matching(entry["key"], expected_of(entry), trusted=entry.get("believed", False))
        return stored is not None and stored.lock.covers(holdings.lock)

    def is_locked(key: str) -> bool:
        stored = store.reader.look(key)
        return stored is not None and stored.lock.covers(holdings.lock)

    entries = holdings.manifest.get("files", [])
    others = sorted(known_keys(store, holdings) - {entry["key"] for entry in entries})
    with ThreadPoolExecutor(AT_ONCE) as crew:
        bad = [entry["path"] for entry, sound in zip(entries, crew.map(is_sound, entries), strict=True) if not sound]
        return bad + [key for key, locked in zip(others, crew.map(is_locked, others), strict=True) if not locked]


def parse(content: bytes, key: str, name: str, number: int) -> dict[str, Any]:
    """A manifest from the store. Raises Failure for what is none."""
    try:
        manifest: dict[str, Any] = json.loads(content)
        sound = (manifest["schema"], manifest["name"], manifest["number"]) == (SCHEMA, name, number)
        sound = sound and all(_is_entry(entry) for entry in manifest["files"]) and isinstance(manifest["retain"], int)
        sound = sound and isinstance(manifest["looked"], float) and isinstance(manifest.get("retained_until", ""), str)
        Lock(**manifest["lock"])
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise Failure(f"{printable(key, 200)} in the store is not a manifest of this archive.")
    return manifest


def _is_entry(entry: Mapping[str, Any]) -> bool:
    texts = all(isinstance(entry[part], str) for part in ("path", "key", "sha256", "etag"))
    return texts and all(isinstance(entry[part], int) and not isinstance(entry[part], bool) for part in ("bytes", "mtime"))


def expected_of(entry: Entry) -> Sum:
    """What the object of an entry must be."""
    return Sum(entry["bytes"], entry["sha256"], entry.get("sha256_of_parts", ""), entry.get("md5", ""))
