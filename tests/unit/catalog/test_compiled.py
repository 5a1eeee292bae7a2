"""The JSON of a definition is used only where it is of that very YAML."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from irctl.catalog import compiled
from irctl.catalog.content import OURS
from irctl.catalog.definition import definition, source_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = source_of(OURS, "db_connections")
    for path in (source, compiled.path_of(source)):
        shutil.copy(path, tmp_path)
    return tmp_path / source.name


def test_what_it_holds_is_what_the_yaml_holds(source: Path) -> None:
    import yaml

    assert compiled.read(source) == yaml.safe_load(source.read_text())


def test_of_another_yaml_or_none_or_broken_it_is_not_used(source: Path) -> None:
    before = source.read_text()
    source.write_text(before + "# changed\n")
    assert compiled.read(source) is None
    source.write_text(before)
    for text in ("{", "[]", "{}", '{"of": 1}'):
        compiled.path_of(source).write_text(text)
        assert compiled.read(source) is None
    compiled.path_of(source).unlink()
    assert compiled.read(source) is None


def test_without_the_yaml_there_is_no_definition(source: Path) -> None:
    source.unlink()
    with pytest.raises(FileNotFoundError):
        compiled.read(source)


def test_a_definition_is_the_same_with_it_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    known = definition(OURS, "block_ip").metadata
    monkeypatch.setattr(compiled, "read", lambda source: None)
    assert definition(OURS, "block_ip").metadata == known
