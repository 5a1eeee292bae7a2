# GNU General Public License v3.0 or later (see LICENSE)
"""Whether the approvals in the record of a run were signed by who is named there: irctl judges that, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

APPROVED = "approved"  # what irctl says where they were
SECONDS = 120  # for irctl to check the signatures


def fault(record: str, allowed_signers: str) -> str:
    """Why nobody can tell that they were, by this allowed-signers file; '' where they were. A module imports nothing of irctl."""
    folder, name = os.path.split(record)
    if not os.path.isabs(allowed_signers):
        return "irctl_allowed_signers, the file by which its signatures are checked, is not set"
    if name != "run.json":
        return "its record is not called run.json"
    command = [sys.executable, "-P", "-m", "irctl.approvals.recheck", folder, allowed_signers]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"irctl, which checks the signatures, did not answer: {printable(error, 120)}"
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        return f"irctl, which checks the signatures, cannot be run: {printable(why, 120)}"
    answer = printable(done.stdout.strip(), 200)
    return "" if answer == APPROVED else answer or "irctl, which checks the signatures, said nothing"
