"""Hold a capture of the scenario against its listing, not through the collection: `look.py .../captured.json`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

path = Path(sys.argv[1])
listed = json.loads(path.read_text())
for one in listed["kept"]:
    assert hashlib.sha256((path.parent / one["name"]).read_bytes()).hexdigest() == one["sha256"], one["name"]
files = {Path(one["source"]).name for one in listed["kept"] if one["name"].startswith("files/")}
reasons = {Path(one["source"]).name: one["reason"] for one in listed["skipped"]}
assert "quiet.log" in files, files
assert any(name.startswith("app.log") for name in files), files  # it is rotated all the time, so app.log itself may be between two
assert reasons["link"] == "not a regular file: a link", reasons
assert reasons["pipe"] == "not a regular file: a pipe", reasons
assert reasons["twice"] == reasons["again"] == "it has 2 names (hard links)", reasons
