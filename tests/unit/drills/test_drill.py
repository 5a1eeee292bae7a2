"""What a remediation and the proof after it show: the verdict of a drill. Pure."""

from __future__ import annotations

import pytest

from irctl.drills.drill import judge
from irctl.drills.steps import Judgement
from irctl.orders.order import Outcome
from irctl.running.results import Host

GOOD = Outcome("unchanged", 0, {"a": Host("unchanged", reason="well")})
ILL = Outcome("failed", 1, {"a": Host("failed", reason="still ill", phase="Verify")})
UNSEEN = Outcome("unreachable", 4, {"a": Host("unreachable", reason="gone")})
CHANGED = Outcome("changed", 0, {"a": Host("changed", True, "mended")})


@pytest.mark.parametrize(
    ("mend", "proof", "verdict", "why", "code"),
    [
        (CHANGED, GOOD, "fixed", "", 0),
        (CHANGED, ILL, "not fixed", "a: still ill", 1),
        (UNSEEN, ILL, "not fixed", "a: gone", 1),
        (CHANGED, UNSEEN, "unknown", "it cannot be said whether it is mended: a: gone", 4),
        (UNSEEN, GOOD, "not fixed", "the remediation did not end well: a: gone", 1),
        (GOOD, GOOD, "unknown", "the trouble went away by itself: the remediation changed nothing", 1),
    ],
)
def test_the_verdict_is_what_the_proof_shows(mend: Outcome, proof: Outcome, verdict: str, why: str, code: int) -> None:
    judgement = Judgement()
    judge(judgement, mend, proof, 2.5)
    assert (judgement.verdict, judgement.why, judgement.exit_code) == (verdict, why, code)
    assert judgement.mitigate == (2.5 if verdict == "fixed" else None)
