"""Whatever is changed, removed or added in a pack is found and named."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from irctl.record import verify
from tests.conftest import Irctl
from tests.integration.incidents.packs import Case, found

FLIPS = 1000


@pytest.fixture(scope="module")
def sealed(made: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the signed pack, in memory where there is some, to be changed and put right again."""
    home = tmp_path_factory.mktemp("packed") / "home"
    shutil.copytree(made.home, home)
    case = Case(Irctl(home, made.irctl.inventory, dict(made.irctl.environment)), made.incident, made.key, made.allowed, made.logs)
    assert case.pack().code == 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        shutil.copytree(case.folder, Path(place) / "copy")
        yield Path(place) / "copy"


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_file_that_is_changed_removed_or_renamed_is_named(sealed: Path) -> None:
    names = sorted(verify.contents(sealed)[0])
    assert len(names) > 50
    for name in names:
        path, content = sealed / name, (sealed / name).read_bytes()
        change_a_byte(path)
        assert any(name in one for one in found(sealed)), name
        path.unlink()
        assert any(name in one for one in found(sealed)), name
        path.with_name(f"{path.name}.x").write_bytes(content)
        assert any(name in one for one in found(sealed)), name
        if name != "manifest.json":
            assert f"added: {name}.x" in found(sealed)
        path.with_name(f"{path.name}.x").rename(path)
    assert found(sealed) == []


def test_a_file_added_in_any_folder_is_named(sealed: Path) -> None:
    for folder in [sealed, *(path for path in sealed.rglob("*") if path.is_dir())]:
        (folder / "more").write_text("")
        assert found(sealed) == [f"added: {(folder / 'more').relative_to(sealed)}"]
        (folder / "more").unlink()
    assert found(sealed) == []


def test_every_line_of_the_journal_that_is_removed_changed_or_swapped_is_named(sealed: Path) -> None:
    path = sealed / "journal.jsonl"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for at, line in enumerate(lines):
        number = at + 1
        path.write_bytes(b"".join([*lines[:at], *lines[number:]]))
        last = number == len(lines)
        gone = "1 line is missing at the end" if last else f"line {number}"
        assert found(sealed) == [f"missing: journal.jsonl: {gone}"]
        path.write_bytes(b"".join([*lines[:at], line.replace(b'"event":"', b'"event":"x'), *lines[number:]]))
        assert found(sealed) == [f"changed: journal.jsonl: line {number}"]
        if not last:
            path.write_bytes(b"".join([*lines[:at], lines[number], line, *lines[number + 1 :]]))
            swapped = [f"reordered: journal.jsonl: line {number + 1} was line {number}"]
            assert found(sealed) == [*swapped, f"reordered: journal.jsonl: line {number} was line {number + 1}"]
    path.write_bytes(content)
    assert found(sealed) == []


def test_every_bit_of_the_signature_counts(sealed: Path) -> None:
    every_bit(sealed, "manifest.json.sig", ["changed: manifest.json.sig"])


def every_bit(folder: Path, name: str, named: list[str]) -> None:
    content = bytearray((folder / name).read_bytes())
    with (folder / name).open("r+b", buffering=0) as file:
        for at in range(len(content)):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([content[at] ^ (1 << bit)]), at)
                about = verify.read_manifest(folder)[0]
                [difference] = map(str, verify.signature_differences(folder, about)[0])
                of_another_purpose = difference.startswith("forbidden: manifest.json.sig")  # the bit was of the namespace's name
                assert [difference] == named or of_another_purpose, (at, bit)
            os.pwrite(file.fileno(), bytes([content[at]]), at)
    assert found(folder) == []


def test_every_byte_of_the_manifest_counts(sealed: Path) -> None:
    """Each is changed in one bit; nearly all are found before a file is looked at."""
    chance = random.Random(4711)
    content = (sealed / "manifest.json").read_bytes()
    with (sealed / "manifest.json").open("r+b", buffering=0) as file:
        for at, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ (1 << chance.randrange(8))]), at)
            assert found(sealed) != [], at
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert found(sealed) == []


def test_a_thousand_random_flips_are_all_found(sealed: Path) -> None:
    chance = random.Random(20261121)
    names = sorted(verify.contents(sealed)[0])
    sizes = [(sealed / name).stat().st_size for name in names]
    for _ in range(FLIPS):
        [name] = chance.choices(names, sizes)
        with (sealed / name).open("r+b", buffering=0) as file:
            at, bit = chance.randrange(sizes[names.index(name)]), chance.randrange(8)
            [byte] = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte ^ (1 << bit)]), at)
            assert any(name in one for one in found(sealed)), (name, at, bit)
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert found(sealed) == []
