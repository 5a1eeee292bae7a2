"""What is said of names that a person typed and nobody has."""

from __future__ import annotations

from collections.abc import Iterator
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


def test_applications_that_earlier_evidence_names_are_remembered_and_no_more_is_read_than_needed() -> None:
    def evidence() -> Iterator[Any]:
        yield [{"application": "web"}, {"application": "other"}, "no session"]
        yield {"no": "list"}
        yield [{"application": "batch"}]
        raise AssertionError("read on though all were seen")

    assert names.remembered(["batch", "web"], evidence()) == ["batch", "web"]
    assert names.remembered(["wbe"], [[{"application": "web"}]]) == []
    assert names.remembered([], evidence()) == []
    asked = names.asked({"database": ["shop"], "user": [], "application": ["web", "wbe"], "remembered": ["web"]})
    assert asked == {"databases": ["shop"], "users": [], "applications": ["wbe"]}
