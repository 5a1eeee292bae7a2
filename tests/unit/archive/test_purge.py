"""Who may be said to have approved a list."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.purge import unapproved

HASH = "0a" * 32
NEEDED = ["incident-commander", "security"]


def _record(*approvals: tuple[str, str], listed: str = HASH, needed: list[str] = NEEDED) -> dict[str, Any]:
    named = [{"role": role, "principal": who} for role, who in approvals]
    approval = {"needed": needed, "request": {"requester": "rob"}, "approvals": named}
    return {
        "plan": {"remediation": "purge-evidence", "hosts": {"archive": {"purge_evidence_list_hash": listed}}},
        "approval": approval,
    }


@pytest.mark.parametrize("listed", [HASH, HASH.upper()])
@pytest.mark.parametrize("given", [HASH, HASH.upper()])
def test_two_people_in_the_two_roles_approve_a_list_however_its_hash_is_written(listed: str, given: str) -> None:
    assert unapproved(_record(("incident-commander", "ana"), ("security", "sam"), listed=listed), given) == ""


def test_one_who_holds_both_roles_is_one_of_two_who_are_needed() -> None:
    both = [("incident-commander", "ana"), ("security", "ana")]
    assert unapproved(_record(*both, ("security", "sam")), HASH) == ""
    assert unapproved(_record(*both, ("incident-commander", "sam")), HASH) == ""


@pytest.mark.parametrize(
    "approvals",
    [
        [("incident-commander", "ana"), ("security", "rob"), ("dpo", "sam")],
        [("incident-commander", "ana"), ("security", "ana"), ("dpo", "sam")],
        [("legal", "ana"), ("dpo", "sam")],
        [("incident-commander", "ana"), ("dpo", "sam")],
    ],
    ids=["the one who asks for a needed role", "one for both needed roles", "two in two other roles", "one needed role of two"],
)
def test_a_needed_role_without_somebody_of_its_own_is_not_approved(approvals: list[tuple[str, str]]) -> None:
    assert "people, in as many roles, who approved this" in unapproved(_record(*approvals), HASH)


def test_two_people_are_needed_even_where_the_record_asks_for_nobody() -> None:
    assert "it names 0 of 2 people" in unapproved(_record(needed=[]), HASH)
    assert "it names 1 of 2 people" in unapproved(_record(("security", "sam"), needed=["security"]), HASH)


def test_another_list_is_not_the_one_that_was_approved() -> None:
    whole = [("incident-commander", "ana"), ("security", "sam")]
    assert unapproved(_record(*whole, listed="0b" * 32), HASH) == "what was approved is another list"
