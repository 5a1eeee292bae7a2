"""The folder of a run, and the environment of its processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irctl.errors import EvidenceError
from irctl.running import private_folder
from irctl.running.private_folder import PrivateFolder

RUN = "20261128T011500Z-db-connections-7f3a01"


def test_no_variable_of_the_caller_that_could_name_foreign_code_or_a_secret_is_handed_on() -> None:
    dangerous = {"ANSIBLE_LIBRARY": "x", "PYTHONPATH": "x", "AWS_SECRET_ACCESS_KEY": "x", "LD_PRELOAD": "x", "PGPASSWORD": "x"}
    environment = PrivateFolder(RUN).environment({"PATH": "/bin", **dangerous})
    assert environment["PATH"] == "/bin"
    assert not environment.keys() & dangerous.keys()


def test_it_is_for_this_user_alone_and_is_removed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = PrivateFolder(RUN)
    with folder.made():
        assert [oct(path.stat().st_mode & 0o777) for path in (folder.files, folder.sockets)] == ["0o700", "0o700"]
    assert not folder.files.exists()
    assert not folder.sockets.exists()


def test_where_it_cannot_be_made_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_folder.tempfile, "gettempdir", lambda: str(tmp_path / "missing"))
    with (
        pytest.raises(EvidenceError, match="cannot be written: No such file or directory; nothing was run"),
        PrivateFolder(RUN).made(),
    ):
        pass


def test_a_file_is_written_once_and_for_this_user_alone(tmp_path: Path) -> None:
    private_folder.write(tmp_path / "a", "text")
    assert oct(os.stat(tmp_path / "a").st_mode & 0o777) == "0o600"
    with pytest.raises(FileExistsError):
        private_folder.write(tmp_path / "a", "other")
