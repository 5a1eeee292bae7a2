"""Sealed folders: every change to one is named, wherever it lies, and a manifest that lies is not believed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import EVIDENCE, EvidenceError
from irctl.record import seal

RUN = "20261121T022311Z-db-connections-7f3a01"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "evidence" / "db1").mkdir(parents=True)
    seal.write(folder / "run.json", b"{}\n")
    seal.write(folder / "evidence" / "db1" / "sessions.json", b"[1, 2]\n")
    seal.seal(folder, RUN)
    return folder


def differences(folder: Path) -> list[str]:
    return [str(found) for found in seal.differences(folder)]


def test_a_sealed_folder_is_as_it_was_and_so_is_a_copy_of_it(sealed: Path, tmp_path: Path) -> None:
    assert differences(sealed) == []
    shutil.copytree(sealed, tmp_path / "far away")
    shutil.rmtree(sealed)
    assert differences(tmp_path / "far away") == []


def test_the_manifest_can_be_checked_with_sha256sum_alone(sealed: Path) -> None:
    files = json.loads((sealed / "manifest.json").read_bytes())["files"]
    assert set(files) == {"run.json", "evidence/db1/sessions.json"}
    for name, about in files.items():
        content = (sealed / name).read_bytes()
        assert about == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_sealing_returns_the_hash_of_the_manifest(sealed: Path) -> None:
    digest = seal.seal(sealed, RUN)
    assert digest == hashlib.sha256((sealed / "manifest.json").read_bytes()).hexdigest() == seal.manifest(sealed)[1]


def flip_one_bit(folder: Path) -> None:
    path = folder / "evidence" / "db1" / "sessions.json"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def swap_for_link(folder: Path) -> None:
    shutil.copy(folder / "run.json", folder.parent / "same.json")
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to(folder.parent / "same.json")


def swap_for_folder(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()


TAMPERINGS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "one bit": (flip_one_bit, ["changed: evidence/db1/sessions.json"]),
    "appended": (lambda folder: (folder / "run.json").write_bytes(b"{}\n\n"), ["changed: run.json"]),
    "emptied": (lambda folder: (folder / "run.json").write_bytes(b""), ["changed: run.json"]),
    "removed": (lambda folder: (folder / "run.json").unlink(), ["missing: run.json"]),
    "added": (lambda folder: (folder / "evidence" / "x").write_text("x"), ["added: evidence/x"]),
    "renamed": (lambda folder: (folder / "run.json").rename(folder / "ran.json"), ["added: ran.json", "missing: run.json"]),
    "a link to a file": (lambda folder: (folder / "x").symlink_to("/etc/passwd"), ["added: x"]),
    "a link to a folder": (lambda folder: (folder / "x").symlink_to("/etc"), ["added: x"]),
    "a link in place of a file": (swap_for_link, ["changed: run.json"]),
    "a pipe": (lambda folder: os.mkfifo(folder / "x"), ["added: x"]),
    "a folder in place of a file": (swap_for_folder, ["missing: run.json", "added: run.json/"]),
    "an empty folder": (lambda folder: (folder / "x").mkdir(), ["added: x/"]),
    "an empty folder in a folder": (lambda folder: (folder / "x" / "y").mkdir(parents=True), ["added: x/y/"]),
    "a signature": (lambda folder: (folder / "manifest.json.sig").write_text("x"), ["added: manifest.json.sig"]),
    "one line end for another": (lambda folder: (folder / "run.json").write_bytes(b"{}\r"), ["changed: run.json"]),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
def test_what_was_changed_is_missing_or_was_added_is_named(sealed: Path, how: str) -> None:
    tamper, named = TAMPERINGS[how]
    tamper(sealed)
    assert differences(sealed) == named


def test_a_folder_that_holds_a_link_cannot_be_sealed(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/etc/passwd")
    with pytest.raises(EvidenceError, match="cannot be sealed"):
        seal.seal(tmp_path, RUN)


def resealed(document: dict[str, Any]) -> bytes:
    """A manifest whose digest and bytes are right, whatever it says: each lie is refused for what it is."""
    return seal.finished({key: value for key, value in document.items() if key != "digest"})


def rewrite(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda content: resealed({**json.loads(content), **changes})


def without(key: str) -> Callable[[bytes], bytes]:
    return lambda content: resealed({name: value for name, value in json.loads(content).items() if name != key})


DIGEST = {"sha256": "0" * 64, "bytes": 1}
LIES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "not an object": lambda content: b"[]",
    "a number": lambda content: b"7",
    "not UTF-8": lambda content: b"\xff" + content,
    "nested without end": lambda content: b"[" * 200_000,
    "a key twice": lambda content: content.replace(b'"run":', b'"run":"' + RUN.encode() + b'","run":'),
    "a file twice": lambda content: content.replace(b'"run.json":', b'"run.json":{"sha256":"' + b"0" * 64 + b'"},"run.json":', 1),
    "another schema": rewrite(schema="irctl/manifest/9"),
    "no schema": without("schema"),
    "no run": rewrite(run=None),
    "a run that is none": rewrite(run="r1"),
    "a run with an escape": rewrite(run=f"{RUN}\x1b[2J"),
    "a line more in the run": rewrite(run=f"{RUN}\n"),
    "no time": without("sealed"),
    "a time that is none": rewrite(sealed="yesterday"),
    "a line more in the time": rewrite(sealed="2026-11-21T02:23:11.000000Z\n"),
    "files are a list": rewrite(files=["run.json"]),
    "no hash": rewrite(files={"run.json": {}}),
    "half a hash": rewrite(files={"run.json": {"sha256": "00", "bytes": 1}}),
    "out of the folder": rewrite(files={"../run.json": DIGEST}),
    "out of the folder by a detour": rewrite(files={"evidence/../../run.json": DIGEST}),
    "absolute": rewrite(files={"/etc/passwd": DIGEST}),
    "another spelling": rewrite(files={"./run.json": DIGEST}),
    "no name": rewrite(files={"": DIGEST}),
    "a size below zero": rewrite(files={"run.json": {"sha256": "0" * 64, "bytes": -1}}),
    "a size that is a word": rewrite(files={"run.json": {"sha256": "0" * 64, "bytes": "1"}}),
    "a size that is true": rewrite(files={"run.json": {"sha256": "0" * 64, "bytes": True}}),
    "a hash in capitals": rewrite(files={"run.json": {"sha256": "A" * 64, "bytes": 1}}),
    "more about a file": rewrite(files={"run.json": {**DIGEST, "mode": 1}}),
    "an empty folder outside": rewrite(empty=["../x"]),
    "an empty folder twice": rewrite(empty=["x", "x"]),
    "empty folders are a text": rewrite(empty="x"),
    "a key more": rewrite(note="x"),
    "of a run and an incident": rewrite(incident="INC-2026-1121-001"),
    "no digest": lambda content: json.dumps({k: v for k, v in json.loads(content).items() if k != "digest"}).encode(),
    "another digest": lambda content: content.replace(b'"digest":"', b'"digest":"0', 1),
    "another run, the digest as it was": lambda content: content.replace(b"db-connections", b"db-connectionz"),
    "a blank": lambda content: content.replace(b",", b", ", 1),
    "no line end": lambda content: content.rstrip(b"\n"),
    "two line ends": lambda content: content + b"\n",
    "other order of keys": lambda content: (
        json.dumps(dict(reversed(json.loads(content).items())), separators=(",", ":")).encode() + b"\n"
    ),
    "an escape where none is needed": lambda content: content.replace(b"run.json", b"\\u0072un.json", 1),
    "half a character": lambda content: content.replace(b"run.json", b"\\ud800un.json", 1),
    "NaN": lambda content: content.replace(b'"bytes":3', b'"bytes":NaN', 1),
    "a number of a million digits": lambda content: content.replace(b'"bytes":3', b'"bytes":' + b"9" * 1_000_000, 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_was_not_written_by_sealing_is_refused_in_one_line(sealed: Path, lie: str) -> None:
    path = sealed / "manifest.json"
    path.write_bytes(LIES[lie](path.read_bytes()))
    with pytest.raises(EvidenceError) as caught:
        seal.differences(sealed)
    assert "manifest" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EVIDENCE


def test_what_is_no_lie_is_believed(sealed: Path) -> None:
    """Else each lie could be refused for what all of them share."""
    path = sealed / "manifest.json"
    path.write_bytes(rewrite(run=RUN.replace("db-connections", "other"), sealed="2026-11-21T02:23:11.000000Z")(path.read_bytes()))
    assert seal.differences(sealed) == []


def test_an_empty_folder_is_part_of_what_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    seal.write(tmp_path / "run.json", b"{}")
    seal.seal(tmp_path, RUN)
    assert differences(tmp_path) == []
    (tmp_path / "evidence").rmdir()
    assert differences(tmp_path) == ["missing: evidence/"]
    (tmp_path / "other").mkdir()
    assert differences(tmp_path) == ["missing: evidence/", "added: other/"]


def test_what_a_killed_sealing_left_is_no_part_of_the_next(tmp_path: Path) -> None:
    seal.write(tmp_path / "run.json", b"{}")
    (tmp_path / "manifest.json.new").write_bytes(b'{"half')
    seal.seal(tmp_path, RUN)
    assert differences(tmp_path) == []


def test_a_name_that_is_not_utf_8_cannot_be_sealed_but_is_named(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff")).write_text("")
    with pytest.raises(EvidenceError, match="a name is not UTF-8") as caught:
        seal.seal(tmp_path, RUN)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_without_a_manifest_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"is not sealed: it has no manifest\.json"):
        seal.differences(tmp_path)


def test_a_file_is_put_in_place_whole_for_its_owner_only(tmp_path: Path) -> None:
    seal.write(tmp_path / "x", b"first")
    seal.write(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"second"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
