"""What is said of names that a person typed and nobody has."""

from __future__ import annotations

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import names

KNOWN: dict[str, Any] = {
    "unknown": [["applications", "wbe"], ["users", "Ops"], ["users", "x\x1b"]],
    "known": {"users": ["app", "billing", "ops"]},
}


def test_each_name_is_told_with_those_that_there_are_the_most_alike_first() -> None:
    assert names.missing(KNOWN) == [
        "There is no session with the application name 'wbe'. There are: none.",
        "There is no role 'Ops'. There are: ops, app, billing.",
        "There is no role 'x?'. There are: app, billing, ops.",
    ]


def test_an_application_may_have_gone() -> None:
    assert len(names.missing(KNOWN, applications=False)) == 2
    assert names.missing({"unknown": [], "known": {}}) == []
