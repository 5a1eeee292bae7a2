"""The manifest.json of a sealed folder: its form, its hash, and reading one that may have been made to do harm.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any

SCHEMA = "irctl/manifest/1"
NAMESPACE = "irctl-evidence"
MANIFEST, SIGNATURE, TIMESTAMP, JOURNAL = "manifest.json", "manifest.json.sig", "manifest.json.tsr", "journal.jsonl"
APART = {MANIFEST, SIGNATURE, TIMESTAMP, JOURNAL}  # of a pack; what the manifest does not list as a file
FIRST = "0" * 64  # the hash before the first line of a journal
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{6}", re.ASCII)
INCIDENT_ID = re.compile(r"INC-[0-9]{4}-[0-9]{4}-[0-9]{3}", re.ASCII)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
KEYS_OF_BOTH = {"schema", "sealed", "files", "empty", "digest"}
KEYS_OF_PACK = {"incident", "previous", "journal", "signed", "timestamp"}
LARGEST_MANIFEST = 256 << 20  # bytes
LARGEST_SIGNATURE = 64 << 10  # bytes
LONGEST_NAME = 4096  # bytes; what is longer no system call can open
MOST_DIGITS = 30  # of a number; longer ones take long to read


class NotSealed(Exception):
    """The folder has no manifest that sealing could have written. One line."""


def canonical(document: Any) -> bytes:
    """The one byte form of a JSON document that hashes are taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """A folder's manifest and its sha256. Raises NotSealed where it is not, byte for byte, one that sealing wrote."""
    path = folder / MANIFEST
    try:
        content = read_file(path, LARGEST_MANIFEST)
        document = load_json(content)
        fault = manifest_fault(document)
        if not fault and canonical(document) + b"\n" != content:
            fault = "its bytes are not in the form that sealing writes"
    except FileNotFoundError:
        raise NotSealed(f"{folder} is not sealed: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fault = " ".join(str(error).split())[:120] or type(error).__name__
    if fault:
        raise NotSealed(f"{path} is not a manifest: {fault}")
    return document, hashlib.sha256(content).hexdigest()


def load_json(content: bytes) -> Any:
    """Parse JSON, but for numbers that take long to read and keys that stand twice. Raises ValueError, RecursionError."""
    return json.loads(content, object_pairs_hook=_without_doubles, parse_int=_whole_number)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number in it is too long")
    return int(digits)


def manifest_fault(document: dict[str, Any]) -> str:
    """Why this is no manifest, or ''. May raise what reading a shape that it does not have raises."""
    is_pack = "incident" in document
    names = [*document["files"], *document["empty"]]
    if document["schema"] != SCHEMA:
        return "its schema is unknown"
    if set(document) != KEYS_OF_BOTH | (KEYS_OF_PACK if is_pack else {"run"}):
        return "it lacks a key or has one too many"
    if not (INCIDENT_ID.fullmatch(document["incident"]) if is_pack else RUN_ID.fullmatch(document["run"])):
        return "not the id of a run or an incident"
    if not TIME.fullmatch(document["sealed"]):
        return "not the time of a sealing"
    if not all(is_inside(name) for name in names) or document["empty"] != sorted(set(document["empty"])):
        return "it names a file outside its folder"
    if is_pack and not _is_sound_pack(document):
        return "what it says about the pack is malformed"
    if not all(_is_sound_file(entry) for entry in document["files"].values()) or not HASH.fullmatch(document["digest"]):
        return "a hash or a size is malformed"
    return "" if document["digest"] == digest_of(document) else "its own content is not what its digest says"


def _is_sound_file(entry: dict[str, Any]) -> bool:
    sound = set(entry) == {"sha256", "bytes"} and type(entry["bytes"]) is int and entry["bytes"] >= 0
    return bool(sound and HASH.fullmatch(entry["sha256"]))


def _is_sound_pack(document: dict[str, Any]) -> bool:
    head, stamp = document["journal"], document["timestamp"]
    return bool(
        set(head) == {"seq", "head"}
        and (type(head["seq"]) is int and head["seq"] > 0 and HASH.fullmatch(head["head"]))
        and (document["previous"] is None or HASH.fullmatch(document["previous"]))
        and (document["signed"] is None or KEY.fullmatch(document["signed"]))
        and (stamp is None or (_is_sound_file({key: stamp[key] for key in set(stamp) - {"of"}}) and HASH.fullmatch(stamp["of"])))
        and not APART & set(document["files"])
    )


def is_inside(name: str) -> bool:
    """Whether a name is that of something below the folder that it is looked up in, written in its shortest form."""
    if not name or len(name) > LONGEST_NAME or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def digest_of(document: dict[str, Any]) -> str:
    """The hash of a manifest's content, without the field that holds it."""
    return hashlib.sha256(canonical({key: value for key, value in document.items() if key != "digest"})).hexdigest()


def stamped_of(document: dict[str, Any]) -> str:
    """The hash that a timestamp is for: the manifest's content as it was before the timestamp came."""
    return digest_of({**document, "timestamp": None})


def read_file(path: Path, most: int = 1 << 40) -> bytes:
    """A regular file's bytes; links are not followed, pipes not waited for. Raises OSError."""
    descriptor = open_file(path)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise OSError(0, "it is too large", str(path))
        return file.read(size + 1)


def open_file(path: str | os.PathLike[str]) -> int:
    """A descriptor of a regular file, for reading. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file", str(path))
    return descriptor
