"""Every Molecule scenario: fault, dry run, change, second run and proof, on real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
ACTIONS = ["create", "prepare", "check", "verify", "converge", "idempotence", "verify", "destroy"]


def molecule(action: str, scenario: str, home: Path, seconds: int) -> subprocess.CompletedProcess[str]:
    """Run one Molecule action; its own folders lie below home."""
    return subprocess.run(
        ["molecule", action, "-s", scenario],
        cwd=ROOT,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
    )  # fmt: skip


def test_there_are_scenarios() -> None:
    assert "db_connections" in SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_passes_its_dry_run_change_second_run_and_proof(scenario: str, tmp_path: Path) -> None:
    try:
        done = molecule("test", scenario, tmp_path, 1200)
    except subprocess.TimeoutExpired:
        molecule("destroy", scenario, tmp_path, 300)
        raise
    assert done.returncode == 0, done.stdout[-9000:]
    assert re.findall(rf"\[{scenario} > (\w+)\] Executing", done.stdout) == ACTIONS
    assert "missing=0  failed=0" in done.stdout, "an action without its playbook counts as missing, not as failed"
    assert not (tmp_path / "irctl-evidence").exists(), "evidence of a scenario goes when the scenario goes"
