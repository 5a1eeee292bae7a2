"""Names near to what was typed, names of content, and values that stay data."""

from __future__ import annotations

from pathlib import Path

import pytest

from irctl.catalog import catalog, unknown_names
from irctl.catalog.content import OURS, contents
from irctl.errors import Invalid
from irctl.running import engine


def test_every_string_is_marked_as_data_however_deep() -> None:
    template = "{{ lookup('pipe', 'id') }}"
    assert engine.unsafe(template) == {"__ansible_unsafe": template}
    assert engine.unsafe([template, [template], 7]) == [{"__ansible_unsafe": template}, [{"__ansible_unsafe": template}], 7]
    assert engine.unsafe((template,)) == [{"__ansible_unsafe": template}]
    assert (engine.unsafe(7), engine.unsafe(True), engine.unsafe(None)) == (7, True, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [("db-conections", " Did you mean db-connections?"), ("dbconnections", " Did you mean db-connections?"), ("zzz", "")],
)
def test_something_near_is_offered(typed: str, said: str) -> None:
    assert unknown_names.nearest(typed, ["block-ip", "db-connections"]) == said


def test_names_are_read_from_folders_and_diagnoses_stand_apart() -> None:
    assert "db-connections" in catalog.names([OURS])
    assert "postgres" in catalog.names([OURS], diagnoses=True)
    assert not catalog.names([OURS]).keys() & catalog.names([OURS], diagnoses=True).keys()


def test_an_unknown_name_is_refused_and_shown_escaped() -> None:
    with pytest.raises(Invalid) as caught:
        catalog.load("x\x1b[2J\n" + "y" * 200, [OURS])
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["../db_connections", "db_connections", "run", "DB-CONNECTIONS", ""])
def test_only_the_names_that_are_listed_can_be_loaded(name: str) -> None:
    with pytest.raises(Invalid, match="there is no remediation"):
        catalog.load(name, [OURS])


def test_options_know_their_flag_type_and_limits() -> None:
    found = {option.variable: option for option in catalog.load("db-connections", [OURS]).options}
    idle = found["db_connections_idle_for"]
    assert (idle.flag, idle.kind, idle.minimum, idle.default) == ("--idle-for", "duration", "5s", "10m")
    assert found["postgres_host"].flag == "", "how to reach a server is inventory"


@pytest.mark.parametrize("text", ["", "[]", "name: x", "a: [", "7"])
def test_a_folder_that_is_no_collection_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "galaxy.yml").write_text(text)
    with pytest.raises(Invalid, match=r"is not a collection: it needs a galaxy\.yml with namespace and name"):
        list(contents([tmp_path]))
    with pytest.raises(Invalid, match="is not a collection"):
        list(contents([tmp_path / "nosuch"]))
