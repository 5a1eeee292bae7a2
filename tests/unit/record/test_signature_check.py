"""Whether a signature holds is what ssh-keygen says, not only how it ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import signal, sys
from irctl.record.allowed_signers import read_allowed_signers
from irctl.record.signature_check import judge_signature

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
keys, _ = read_allowed_signers(b"ana@example.com " + open(sys.argv[1] + ".pub", "rb").read())
armour = open(sys.argv[2], "rb").read()
for content in (b"signed", b"forged"):
    print(judge_signature(content, armour, "irctl-approval", keys).fault or "good")
"""


def test_where_every_child_seems_to_succeed_a_forged_signature_is_none_all_the_same(people: Path, tmp_path: Path) -> None:
    """SIGCHLD may be ignored in who starts irctl, or verify.py: subprocess then takes each child's end for 0."""
    (tmp_path / "text").write_bytes(b"signed")
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", "irctl-approval", "-f", str(people / "ana"), str(tmp_path / "text")]
    subprocess.run(words, check=True, capture_output=True)
    command = [sys.executable, "-c", SCRIPT, str(people / "ana"), str(tmp_path / "text.sig")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["good", "changed"]
