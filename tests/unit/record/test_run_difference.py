"""In what two runs differ."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from irctl.record.run_difference import Difference, differences, facts

BEGUN: dict[str, Any] = {
    "run": "a", "started": "1", "remediation": "block-ip", "incident": "", "check": True, "plan_hash": "0",
    "plan": {"content": "c", "parameters": {"max": 5}, "hosts": {"edge": {"max": 5, "names": []}}},
}  # fmt: skip
ENDED: dict[str, Any] = {
    "outcome": "changed", "seconds": 1.0,
    "hosts": {"edge": {"outcome": "changed", "affected": {"count": 1, "items": [{"address": "x"}], "sha256": "0"}}},
}  # fmt: skip


def test_what_is_each_run_s_own_is_no_difference() -> None:
    other = deepcopy(ENDED)
    other["seconds"] = 9.0
    other["hosts"]["edge"]["affected"] |= {"items": [], "sha256": "1"}
    assert differences(facts(BEGUN, ENDED), facts(BEGUN | {"run": "b", "started": "2", "plan_hash": "1"}, other)) == []


def test_what_was_asked_and_what_became_of_it_are_told_with_both_values() -> None:
    begun, ended = deepcopy(BEGUN), deepcopy(ENDED)
    begun["check"], begun["plan"]["hosts"]["edge"]["max"] = False, 7
    del begun["plan"]["parameters"]["max"]
    ended["hosts"]["edge"]["affected"]["count"] = 2
    ended["hosts"]["other"] = {"outcome": "refused"}
    assert differences(facts(BEGUN, ENDED), facts(begun, ended)) == [
        Difference("check", True, False),
        Difference("parameters.max", 5, None),
        Difference("settings.edge.max", 5, 7),
        Difference("hosts.edge.affected.count", 1, 2),
        Difference("hosts.other.outcome", None, "refused"),
    ]


def test_a_run_under_way_has_no_result_yet() -> None:
    assert Difference("outcome", "under way", "changed") in differences(facts(BEGUN, {}), facts(BEGUN, ENDED))
