"""The list of 200 remediations, 193 of them in a content folder, against that of ours alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import IRCTL, Ratio, Side, command, in_turns

NAME = "many-remediations"
PATTERN = Path(__file__).resolve().parent.parent / "roles" / "db_connections" / "meta"
MORE = 193


def run(pairs: int) -> Ratio:
    with tempfile.TemporaryDirectory() as folder:
        make_content(Path(folder))
        ours = Side("irctl remediate --help, 200 remediations", command(IRCTL, "remediate", "--help", IRCTL_CONTENT=folder))
        peer = Side("irctl remediate --help, ours alone", command(IRCTL, "remediate", "--help"))
        return in_turns(NAME, ours, peer, target=1.2, pairs=pairs * 3)


def make_content(root: Path) -> None:
    """A content folder with copies of one role's meta files under other names."""
    (root / "galaxy.yml").write_text("{namespace: acme, name: many, version: 1.0.0}\n")
    for number in range(MORE):
        meta = root / "roles" / f"do_{number}" / "meta"
        shutil.copytree(PATTERN, meta)
        for path in meta.iterdir():
            path.write_text(path.read_text().replace("db_connections", f"do_{number}"))
