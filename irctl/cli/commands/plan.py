"""irctl plan NAME: what a remediation would do, the hash that names exactly that, and a file of it for those who approve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog.catalog import Remediation
from irctl.cli import order_options
from irctl.cli.approval_requests import APPROVABLE, make_request, require_requester
from irctl.cli.base import wants_json
from irctl.cli.orders import carry_out, typed_order
from irctl.cli.remediation_groups import Remediations
from irctl.errors import invalid


class _Plans(Remediations):
    def text(self, remediation: Remediation) -> str:
        return f"Plan: {remediation.summary}. Resolves the targets and does a dry run; changes nothing."

    def further_options(self, remediation: Remediation) -> list[click.Parameter]:
        sentence = "Write a plan file, to be approved: irctl approve FILE."
        return [click.Option(["--out"], type=click.Path(), metavar="FILE", help=sentence), *order_options.request_options()]


def _plan(remediation: Remediation, **values: Any) -> int:
    from irctl.cli.views import plan
    from irctl.record import documents

    ctx = click.get_current_context()
    order, path = typed_order(ctx, remediation, values, check=True), Path(values["out"] or "")
    if values["out"]:
        require_requester(ctx, remediation)
        if not _can_be_made(path):
            raise invalid("--out", "a new file in a folder that is there is needed", path)
    outcome = carry_out(ctx, order)
    plan.show(order, outcome, as_json=wants_json(ctx))
    if values["out"] and outcome.outcome in APPROVABLE:
        request = make_request(ctx, order, outcome, values)
        documents.create(path, dict(request.document), "--out")
        name, until = printable(path, 4096), request.document["expires"]
        click.echo(f"{name}: request {request.id}, until {until}. To approve it: irctl approve {name} --as ROLE", err=True)
    elif values["out"]:
        click.echo(f"warning: {printable(path, 80)} was not written: the dry run ended as {outcome.outcome}", err=True)
    return outcome.exit_code


def _can_be_made(path: Path) -> bool:
    try:
        return not paths.has_name(path) and paths.is_folder(path.parent)
    except (OSError, ValueError):  # too long, or with a NUL
        return False


command = _Plans(
    "plan",
    _plan,
    help="Show what a remediation would do, and the hash that names the plan.",
    epilog="Example: irctl plan db-connections --host prod --idle-for 30m",
)
