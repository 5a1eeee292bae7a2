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

from irctl import evidence
from irctl.errors import EVIDENCE, EvidenceError

RUN = "20261121T022311Z-db-connections-7f3a01"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "evidence" / "db1").mkdir(parents=True)
    evidence.write(folder / "run.json", b"{}\n")
    evidence.write(folder / "evidence" / "db1" / "sessions.json", b"[1, 2]\n")
    evidence.seal(folder, RUN)
    return folder


def differences(folder: Path) -> list[str]:
    return [str(found) for found in evidence.differences(folder)]


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
    digest = evidence.seal(sealed, RUN)
    assert digest == hashlib.sha256((sealed / "manifest.json").read_bytes()).hexdigest() == evidence.manifest(sealed)[1]


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
    "a folder in place of a file": (swap_for_folder, ["missing: run.json"]),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
def test_what_was_changed_is_missing_or_was_added_is_named(sealed: Path, how: str) -> None:
    tamper, named = TAMPERINGS[how]
    tamper(sealed)
    assert differences(sealed) == named


def test_a_folder_that_holds_a_link_cannot_be_sealed(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/etc/passwd")
    with pytest.raises(EvidenceError, match="cannot be sealed"):
        evidence.seal(tmp_path, RUN)


def rewrite(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **changes}).encode()


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
    "no schema": lambda content: json.dumps({key: value for key, value in json.loads(content).items() if key != "schema"}).encode(),
    "no run": rewrite(run=None),
    "a run that is none": rewrite(run="r1"),
    "a run with an escape": rewrite(run=f"{RUN}\x1b[2J"),
    "a line more in the run": rewrite(run=f"{RUN}\n"),
    "no time": lambda content: json.dumps({key: value for key, value in json.loads(content).items() if key != "sealed"}).encode(),
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
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_was_not_written_by_sealing_is_refused_in_one_line(sealed: Path, lie: str) -> None:
    path = sealed / "manifest.json"
    path.write_bytes(LIES[lie](path.read_bytes()))
    with pytest.raises(EvidenceError) as caught:
        evidence.differences(sealed)
    assert "manifest" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EVIDENCE


def test_what_is_no_lie_is_believed(sealed: Path) -> None:
    """Else each lie could be refused for what all of them share."""
    path = sealed / "manifest.json"
    path.write_bytes(rewrite(run=RUN.replace("db-connections", "other"), sealed="2026-11-21T02:23:11.000000Z")(path.read_bytes()))
    assert evidence.differences(sealed) == []


def test_a_folder_without_a_manifest_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"is not sealed: it has no manifest\.json"):
        evidence.differences(tmp_path)


def test_a_file_is_put_in_place_whole_for_its_owner_only(tmp_path: Path) -> None:
    evidence.write(tmp_path / "x", b"first")
    evidence.write(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"second"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
