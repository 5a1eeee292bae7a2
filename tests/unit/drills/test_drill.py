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


@pytest.mark.parametrize(
    ("mend", "proof", "decoy", "verdict", "why", "code"),
    [
        (CHANGED, GOOD, GOOD, "fixed", "", 0),
        (CHANGED, GOOD, ILL, "hit the wrong thing", "a: still ill", 1),
        (CHANGED, ILL, ILL, "hit the wrong thing", "a: still ill", 1),
        (CHANGED, GOOD, UNSEEN, "unknown", "it cannot be said whether the decoy was spared: a: gone", 4),
        (CHANGED, ILL, UNSEEN, "not fixed", "a: still ill", 1),
    ],
)
def test_a_decoy_that_was_hit_is_the_verdict_whatever_else_was_mended(
    mend: Outcome, proof: Outcome, decoy: Outcome, verdict: str, why: str, code: int
) -> None:
    judgement = Judgement()
    judge(judgement, mend, proof, 2.5, decoy)
    assert (judgement.verdict, judgement.why, judgement.exit_code) == (verdict, why, code)
    assert judgement.mitigate == (2.5 if verdict == "fixed" else None)


def test_that_the_wrong_thing_was_hit_stays_the_verdict_where_the_end_is_bad_too() -> None:
    judgement = Judgement("hit the wrong thing", "a: gone", 1)
    judgement.end_badly("worse", "it is not as it was")
    assert (judgement.verdict, judgement.why, judgement.exit_code) == ("hit the wrong thing", "a: gone; it is not as it was", 1)
    judgement = Judgement("fixed", "", 0)
    judgement.end_badly("worse", "it is not as it was")
    assert (judgement.verdict, judgement.exit_code) == ("worse", 1)
