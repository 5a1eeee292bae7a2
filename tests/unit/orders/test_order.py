"""What is asked for and what became of it: titles, what may change anything, reasons, the envelope."""

from __future__ import annotations

from typing import Any

import pytest

from irctl.catalog.catalog import Remediation
from irctl.catalog.content import OURS
from irctl.orders.order import Order, Outcome, envelope
from irctl.running.results import Host


def order(role: str = "db_connections", kind: str = "remediation", **terms: Any) -> Order:
    metadata = {"kind": kind, "service": "postgres"}
    return Order(Remediation(role.replace("_", "-"), role, OURS, "", (), (), metadata), ("lab",), {}, **terms)


def test_a_title_is_the_name_and_another_entry_point() -> None:
    assert order().title == "db-connections"
    assert order(entry_point="fault").title == "db-connections fault"
    assert order("diagnose_postgres").title == "diagnose postgres"


@pytest.mark.parametrize(
    ("terms", "changes"),
    [
        ({}, True),
        ({"entry_point": "fault"}, True),
        ({"check": True}, False),
        ({"entry_point": "verify"}, False),
        ({"kind": "x"}, False),
    ],
)
def test_a_dry_run_a_look_and_a_diagnosis_change_nothing(terms: dict[str, Any], changes: bool) -> None:
    assert order(**terms).changes is changes


def test_reasons_name_what_did_not_succeed_first_and_say_how_many_more_there_are() -> None:
    hosts = {name: Host("unchanged", reason="fine") for name in "abcd"} | {"e": Host("failed", reason="broken")}
    assert Outcome("partial", 3, hosts).reasons() == "e: broken; a: fine; b: fine; and 2 more"
    assert Outcome("changed", 0, {"a": hosts["a"]}).reasons() == "a: fine"


def test_an_envelope_has_no_incident_where_there_is_none() -> None:
    document = envelope(order(), Outcome("changed", 0, {"a": Host("changed", True)}, run="R"))
    assert (document["incident"], document["hosts"]["a"]["outcome"], document["run"]) == (None, "changed", "R")
