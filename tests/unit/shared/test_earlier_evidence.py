"""Earlier evidence of a host is found beside that of a run, the newest first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.plugin_utils import earlier_evidence


@pytest.mark.parametrize("within", ["evidence/db1", "db1"])
def test_the_newest_comes_first_and_what_cannot_be_read_is_passed_by(within: str, tmp_path: Path) -> None:
    for run, text in {"1": json.dumps("old"), "2": json.dumps("new"), "3": "{", "4": json.dumps("this run's own")}.items():
        (tmp_path / run / within).mkdir(parents=True)
        (tmp_path / run / within / "seen.json").write_text(text)
    (tmp_path / "5").mkdir()
    found = list(earlier_evidence.kept(str(tmp_path / "4" / within), "seen.json"))
    assert [document for _, document in found] == ["new", "old"]
    assert all((folder / "seen.json").is_file() for folder, _ in found)
    assert list(earlier_evidence.kept(str(tmp_path / "nosuch" / "runs" / "1" / within), "seen.json")) == []
