"""What cannot be looked at is an error, on every Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

ASKS = [paths.exists, paths.has_name, paths.is_file, paths.is_folder, paths.is_link]


def test_what_is_there_is_told_by_its_kind(tmp_path: Path) -> None:
    file, link, nothing = tmp_path / "file", tmp_path / "link", tmp_path / "nothing"
    file.touch()
    link.symlink_to(nothing)
    assert [ask(file) for ask in ASKS] == [True, True, True, False, False]
    assert [ask(tmp_path) for ask in ASKS] == [True, True, False, True, False]
    assert [ask(link) for ask in ASKS] == [False, True, False, False, True]
    assert [ask(nothing) for ask in ASKS] == [False] * 5
    assert [ask(file / "below") for ask in ASKS] == [False] * 5


@pytest.mark.parametrize("ask", ASKS)
def test_a_name_that_the_kernel_does_not_take_is_not_told_as_not_there(ask: object, tmp_path: Path) -> None:
    assert callable(ask)
    with pytest.raises(paths.Unseen, match="cannot be looked at: File name too long"):
        ask(tmp_path / ("x" * 300))


def test_a_loop_of_links_is_not_told_as_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(paths.Unseen):
        paths.exists(tmp_path / "a")
    assert paths.has_name(tmp_path / "a")


def test_modules_and_irctl_catch_it_as_what_they_know() -> None:
    error = paths.Unseen(13, "Permission denied", "/x")
    assert isinstance(error, Failure)
    assert isinstance(error, OSError)
    assert (error.strerror, str(error)) == ("Permission denied", "'/x' cannot be looked at: Permission denied")
