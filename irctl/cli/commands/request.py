"""irctl request NAME: plan it, and ask for the approvals that it needs."""

from __future__ import annotations

from typing import Any

import click

from irctl.catalog.catalog import Remediation
from irctl.cli import order_options
from irctl.cli.approval_requests import APPROVABLE, make_request, require_requester
from irctl.cli.base import settings_of, wants_json
from irctl.cli.orders import carry_out, typed_order
from irctl.cli.remediation_groups import Remediations
from irctl.errors import DONE


class _Requests(Remediations):
    def text(self, remediation: Remediation) -> str:
        return f"Ask for: {remediation.summary}. Resolves the targets and does a dry run; changes nothing."

    def further_options(self, remediation: Remediation) -> list[click.Parameter]:
        return order_options.request_options()


def _request(remediation: Remediation, **values: Any) -> int:
    from irctl.approvals import request as requests
    from irctl.cli import render
    from irctl.cli.views import plan

    ctx = click.get_current_context()
    require_requester(ctx, remediation)
    order = typed_order(ctx, remediation, values, check=True)
    outcome = carry_out(ctx, order)
    if outcome.outcome not in APPROVABLE:
        plan.show(order, outcome, as_json=wants_json(ctx))
        click.echo(f"warning: nothing was requested: the dry run ended as {outcome.outcome}", err=True)
        return outcome.exit_code
    request = make_request(ctx, order, outcome, values)
    requests.register(settings_of(ctx), request)
    if wants_json(ctx):
        render.as_object(request.document)
        return DONE
    plan.show(order, outcome, as_json=False)
    needs = request.document["needs"]
    click.echo(f"request   {request.id}\nexpires   {request.document['expires']}\nwaits for {' and '.join(needs) or 'nobody'}")
    for role in needs:
        click.echo(f"          irctl approve {request.id[:12]} --as {role}")
    return DONE


command = _Requests(
    "request",
    _request,
    help="Ask for the approvals that a remediation needs: `irctl approvals` shows them to everybody with the same home.",
    epilog="Example: irctl request db-connections --host prod --idle-for 30m",
)
