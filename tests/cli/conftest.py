"""The command line without any server: an inventory that leads nowhere, a home that is not there yet, and the schemas."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PATIENCE, Done, Irctl, write_inventory
from tests.schemas import require_valid
from tests.servers import warm

NOWHERE = {"ansible_connection": "local", "postgres_host": "127.0.0.1", "postgres_port": 1}


def only_object(done: Done) -> dict[str, Any]:
    """The one object on standard output, which is one line and nothing else."""
    assert done.out.endswith("}\n"), done
    assert done.out.count("\n") == 1, done
    return done.json


def listing(folder: Path) -> dict[str, tuple[int, int] | None]:
    """Every path below a folder, and for each file its size and time of change."""
    found = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {str(path): None if path.is_dir() else (about.st_size, about.st_mtime_ns) for path, about in found.items()}


class Warm(Irctl):
    """What is called, and not started, begins where Python and irctl are loaded already."""

    def __call__(self, *words: str, **environment: str) -> Done:
        with tempfile.TemporaryDirectory() as place:
            around = self.surroundings(**environment)
            return Done(*warm.call(words, around, self.home.parent, Path(place), 60 * PATIENCE))


@pytest.fixture
def irctl(tmp_path: Path) -> Irctl:
    """The command with hosts that do not answer; everything that it could write to is below tmp_path."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "user").mkdir()
    hosts = dict.fromkeys(("db1", "db2", "replica3"), NOWHERE)
    inventory = write_inventory(tmp_path, hosts, prod=["db1", "db2"], empty=[])
    places = {"HOME": str(tmp_path / "user"), "TMPDIR": str(tmp_path / "tmp"), "COLUMNS": "110", "LANG": "C.UTF-8"}
    return Warm(tmp_path / "home", inventory, places)


@pytest.fixture
def refused(irctl: Irctl, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must be refused, plain and with --json; return its one line without 'error: '."""

    def check(*words: str, code: int = 2, **environment: str) -> str:
        before = listing(tmp_path)
        plain = irctl(*words, **environment)
        assert plain.code == code, plain
        assert plain.out == "", plain
        assert plain.err.startswith("error: "), plain
        assert plain.err.count("\n") == 1, plain
        assert plain.err.endswith("\n"), plain
        assert plain.err[:-1].isprintable(), plain
        assert "Traceback" not in plain.err
        as_json = irctl("--json", *words, **environment)
        assert (as_json.code, as_json.err) == (code, plain.err)
        document = only_object(as_json)
        require_valid(document)
        assert document["exit_code"] == code
        assert f"error: {document['reason']}\n" == plain.err
        assert listing(tmp_path) == before, "something was written"
        return plain.err.removeprefix("error: ").rstrip("\n")

    return check
