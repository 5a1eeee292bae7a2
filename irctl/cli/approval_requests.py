"""Requests for approval: made from a dry run, and held against the content of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from irctl.catalog.catalog import Remediation
from irctl.cli.base import settings_of
from irctl.errors import Refused

if TYPE_CHECKING:
    from irctl.approvals.request import Request
    from irctl.catalog.config import Settings
    from irctl.orders.order import Order, Outcome

APPROVABLE = ("changed", "unchanged", "partial")  # outcomes of a dry run of which there is something to approve
MOST_ITEMS = 100  # sessions, addresses or files that a request names itself


def make_request(ctx: click.Context, order: Order, outcome: Outcome, values: Mapping[str, Any]) -> Request:
    """The request for what a dry run planned; `values` are those of `request_options`. Raises IrctlError."""
    from irctl.approvals import kept, request

    facts = {
        "plan": outcome.plan,
        "plan_hash": outcome.plan_hash,
        "names": list(order.names),
        "title": order.remediation.summary,
        "needs": kept.roles_of(order.remediation),
        "incident": order.incident,
        "reason": values["reason"] or "",
        "lease": order.lease or None,
        "dry_run": {"outcome": outcome.outcome, "run": outcome.run, "hosts": _dry_run(outcome)},
    }
    return request.make(settings_of(ctx), facts, values["expires"])


def _dry_run(outcome: Outcome) -> dict[str, Any]:
    """What became of each host, and what exactly would be changed on it: the first MOST_ITEMS of all hosts."""
    hosts, room = dict[str, Any](), MOST_ITEMS
    for name, host in outcome.hosts.items():
        hosts[name] = {"outcome": host.outcome, "reason": host.reason[:300]}
        if host.affected:
            items = host.affected["items"][:room]
            hosts[name]["affected"] = {**host.affected, "items": items}
            room -= len(items)
    return hosts


def require_requester(ctx: click.Context, remediation: Remediation) -> None:
    """Raises IrctlError, before the dry run, where the caller could not sign the request."""
    from irctl.approvals import kept, statements

    if kept.roles_of(remediation):
        settings = settings_of(ctx)
        statements.everybody(settings).lines_of(statements.principal(settings))


def requested_remediation(settings: Settings, request: Request) -> Remediation:
    """The remediation of a request, as it is on this machine. Raises Refused where that is not what was planned."""
    from irctl.approvals import kept, plan
    from irctl.catalog import catalog

    remediation = catalog.load(request.remediation, settings.contents)
    if plan.digest(remediation) != request.plan["content"]:
        raise Refused("the content here is not what was planned: the playbook, the role or a plugin is another")
    if kept.roles_of(remediation) != request.document["needs"]:
        raise Refused(f"the request says that it needs {request.document['needs']}, and it needs {kept.roles_of(remediation)}")
    return remediation
