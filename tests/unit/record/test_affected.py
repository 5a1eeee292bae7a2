"""What exactly a run was to change, as it is read from the run's evidence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from irctl.errors import EvidenceError
from irctl.record import affected
from irctl.record.runs import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "20261121T022311Z-block-ip-7f3a01")


def keep(folder: Folder, content: bytes, host: str = "db_1") -> None:
    place = folder.evidence / host
    place.mkdir(parents=True)
    (place / "affected.jsonl").write_bytes(content)


def test_the_first_hundred_are_told_and_the_rest_are_counted(folder: Folder) -> None:
    content = b"".join(b'{"address": "198.51.100.%d"}\n' % number for number in range(120))
    keep(folder, content)
    read = affected.read(folder, "db 1") or {}
    assert (read["count"], len(read["items"]), read["items"][99]) == (120, 100, {"address": "198.51.100.99"})
    assert read["file"] == "evidence/db_1/affected.jsonl"
    assert read["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_remediation_that_tells_nothing_is_told_from_one_with_nothing_to_do(folder: Folder) -> None:
    assert affected.read(folder, "db 1") is None
    keep(folder, b"")
    assert (affected.read(folder, "db 1") or {})["count"] == 0


def test_what_somebody_else_wrote_there_is_cleaned_or_refused(folder: Folder) -> None:
    keep(folder, json.dumps({"file": "/" + "\x1b" * 300}).encode() + b"\n", "a")
    assert (affected.read(folder, "a") or {})["items"] == [{"file": "/" + "?" * 198 + "…"}]
    for number, content in enumerate((b"[1]\n", b"no json\n", b"\xff\n")):
        keep(folder, content, f"bad{number}")
        with pytest.raises(EvidenceError, match="cannot be read"):
            affected.read(folder, f"bad{number}")
