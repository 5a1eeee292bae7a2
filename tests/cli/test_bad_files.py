"""Inventories, configurations and sealed folders that cannot be used: one line, the documented code, nothing written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from irctl.record import seal
from tests.cli.conftest import only_object
from tests.conftest import Irctl
from tests.schemas import faults

Refused = Callable[..., str]
DB = ["remediate", "db-connections", "--host", "prod"]
RUN = "20261121T022311Z-db-connections-7f3a01"


@pytest.mark.parametrize("text", ["", "---\n", "all: [\n", "just words", "[group"])
def test_an_inventory_that_is_empty_or_none_at_all_is_refused(refused: Refused, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    assert refused(*DB, "--inventory", str(tmp_path / "bad.yml")).startswith("--inventory: ")


@pytest.mark.parametrize("text", ["# nothing\n", "{}\n"])
def test_an_inventory_that_names_nobody_has_no_target(refused: Refused, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    assert refused(*DB, "--inventory", str(tmp_path / "bad.yml"), code=4) == (
        f"--host: not in the inventory. The inventory is {tmp_path / 'bad.yml'} (got 'prod')"
    )


def test_an_inventory_that_everybody_may_write_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").chmod(0o666)
    assert refused(*DB).startswith("--inventory: writable by everybody, so it cannot be trusted; chmod o-w (got '")


@pytest.mark.parametrize("name", ["nosuch.yml", "hosts.yml/x", "db1,", "db1,db2", "localhost,", "x" * 300, "a\nb"])
def test_an_inventory_that_is_not_there_is_refused_and_is_no_list_of_hosts(refused: Refused, tmp_path: Path, name: str) -> None:
    said = refused(*DB, "--inventory", str(tmp_path / name))
    assert said.startswith("--inventory: ")
    assert "\\n" in said if "\n" in name else True


def test_an_inventory_folder_with_a_file_that_cannot_be_read_as_one_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "a.yml").write_text("prod: {hosts: {db1: }}\n")
    (tmp_path / "inventory" / "b.yml").write_text("prod: [\n")
    assert refused(*DB, "--inventory", str(tmp_path / "inventory")).startswith("--inventory: ")


@pytest.mark.parametrize("text", ["a: [", "- a", "7", "inventry: x", "\x00", "a: b: c", "{1: a, b: c}"])
def test_a_configuration_that_cannot_be_used_is_refused(refused: Refused, tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text)
    assert refused(*DB, IRCTL_CONFIG=str(path)).startswith(f"{path}: ")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\x80"])
def test_a_configuration_that_is_not_text_is_refused(refused: Refused, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.yml").write_bytes(text)
    assert "cannot be read" in refused("runs", IRCTL_CONFIG=str(tmp_path / "config.yml"))


def test_a_configuration_that_is_named_but_missing_or_a_folder_is_refused(refused: Refused, tmp_path: Path) -> None:
    assert refused("runs", IRCTL_CONFIG=str(tmp_path / "nosuch")).startswith("IRCTL_CONFIG: no such file")
    assert "cannot be read" in refused("runs", IRCTL_CONFIG=str(tmp_path))


def test_a_content_folder_that_is_no_collection_is_refused(refused: Refused, tmp_path: Path) -> None:
    assert refused(*DB, IRCTL_CONTENT=str(tmp_path)).startswith("content: ")


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    seal.write(folder / "run.json", b"{}\n")
    seal.seal(folder, RUN)
    return folder


def test_a_copy_of_a_sealed_folder_verifies_without_its_home(irctl: Irctl, sealed: Path) -> None:
    done = irctl("evidence", "verify", str(sealed))
    assert (done.code, done.err) == (0, "")
    assert "is as it was sealed" in done.out
    assert "UNANCHORED" in done.out
    document = only_object(irctl("evidence", "verify", str(sealed), "--json"))
    assert (document["intact"], document["anchored"], document["differences"]) == (True, False, [])
    assert not irctl.home.exists()


def test_the_manifest_is_as_its_schema_says(sealed: Path) -> None:
    assert faults("manifest-1", json.loads((sealed / "manifest.json").read_bytes())) == []


def test_what_is_not_as_it_was_sealed_is_named_with_exit_8(irctl: Irctl, sealed: Path) -> None:
    (sealed / "run.json").write_text("{ }\n")
    (sealed / "more").write_text("")
    done = irctl("evidence", "verify", str(sealed))
    assert done.code == 8
    assert done.out.startswith(f"added    {sealed}/more\nchanged  {sealed}/run.json\n")
    document = only_object(irctl("evidence", "verify", str(sealed), "--json"))
    assert document["differences"] == [{"kind": "added", "name": "more"}, {"kind": "changed", "name": "run.json"}]


@pytest.mark.parametrize("name", [b"\xff\xfe", "größe".encode(), b"a\nb", "\x9b2J".encode()])
def test_an_added_file_is_named_whatever_its_name_is(irctl: Irctl, sealed: Path, name: bytes) -> None:
    (Path(os.fsdecode(os.fsencode(sealed) + b"/" + name))).write_text("")
    for words in ([], ["--json"]):
        done = irctl("evidence", "verify", str(sealed), *words)
        assert (done.code, done.err) == (8, ""), done
        assert "added" in done.out
        assert all(line.isprintable() for line in done.out.splitlines()), done


@pytest.mark.parametrize("change", ["truncated", "twice", "no time", "outside", "deep", "escape"])
def test_a_manifest_that_lies_is_refused_with_exit_8(refused: Refused, sealed: Path, change: str) -> None:
    path = sealed / "manifest.json"
    text = path.read_text()
    changed = {
        "truncated": text[:40],
        "twice": text.replace('"run":', '"run":"x","run":'),
        "no time": text.replace('"sealed"', '"sealt"'),
        "outside": text.replace('"run.json"', '"../run.json"'),
        "deep": "[" * 200_000,
        "escape": text.replace(RUN, "\\u001b[2J"),
    }
    path.write_text(changed[change])
    said = refused("evidence", "verify", str(sealed), code=8)
    assert "manifest.json" in said


def test_a_folder_that_was_never_sealed_is_refused_with_exit_8(refused: Refused, tmp_path: Path) -> None:
    assert refused("evidence", "verify", str(tmp_path), code=8).endswith("is not sealed: it has no manifest.json")
