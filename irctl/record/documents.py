"""Documents that came from elsewhere: none is believed before its size, form and schema were looked at, and no link is followed."""

from __future__ import annotations

import json
import os
import secrets
import stat
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import escaped
from irctl.errors import EvidenceError, Invalid, Refused, invalid
from irctl.record.folders import make_folder
from irctl.record.journal import canonical

LARGEST = 1 << 20  # bytes
SCHEMAS = Path(__file__).resolve().with_name("schemas")


def read(path: Path, schema: str) -> dict[str, Any]:
    """Read one that `put` or `create` wrote, held against schemas/SCHEMA.json. Raises Refused that says what is wrong."""
    content = _content(path)
    try:
        found = json.loads(content, object_pairs_hook=_no_twice)
        whole = canonical(found) + b"\n" == content
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not a document of irctl: {' '.join(str(error).split())[:120]}") from None
    if not whole:
        raise Refused(f"{path} was edited: it is not byte for byte what irctl writes")
    if wrong := fault(found, schema):
        raise Refused(f"{path} is not {schema}: {wrong}")
    checked: dict[str, Any] = found
    return checked


def fault(document: Any, schema: str) -> str:
    """What is wrong with a document by its schema, or ''."""
    for error in _validator(schema).iter_errors(document):
        return escaped(f"{error.json_path}: {error.message}", 200)
    return ""


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((SCHEMAS / f"{schema}.json").read_bytes()))


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        if paths.is_link(path):
            raise Refused(f"{path} is a link, and none is followed") from None
        raise invalid("file", f"cannot be read: {getattr(error, 'strerror', error)}", path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Refused(f"{path} is larger than {LARGEST >> 20} MiB")
    return content


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def put(path: Path, document: dict[str, Any]) -> bool:
    """Put a 0600 file in place, whole and fsynced; False where there is one already. Raises EvidenceError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        make_folder(path.parent)
        _write(beside, document)
        try:
            os.link(beside, path)
        finally:
            beside.unlink()
        _sync(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}") from None
    return True


def create(path: Path, document: dict[str, Any], option: str) -> None:
    """Write a new 0600 file that a person named, to be carried. Raises Invalid where there is one already."""
    try:
        _write(path, document)
    except OSError as error:
        raise Invalid(f"{option}: {(error.strerror or 'cannot be written').lower()} (got '{path}')") from None


def _write(path: Path, document: dict[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(canonical(document) + b"\n")
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
