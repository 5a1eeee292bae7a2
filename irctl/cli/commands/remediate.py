"""irctl remediate NAME: each remediation of the catalogue as a command, made from its spec."""

from __future__ import annotations

from typing import Any

import click

from irctl.catalog.catalog import Remediation
from irctl.cli import order_options
from irctl.cli.base import is_quiet, wants_json
from irctl.cli.orders import carry_out
from irctl.cli.planned_orders import order_with_approval, warn_of_break_glass
from irctl.cli.remediation_groups import Remediations


class _Runs(Remediations):
    def further_options(self, remediation: Remediation) -> list[click.Parameter]:
        return [order_options.check_option(), *order_options.approval_options(remediation)]


def _run(remediation: Remediation, **values: Any) -> int:
    ctx = click.get_current_context()
    order = order_with_approval(ctx, remediation, values)
    warn_of_break_glass(ctx, order)
    outcome = carry_out(ctx, order)
    from irctl.cli.views import run

    run.show(order, outcome, as_json=wants_json(ctx), quiet=is_quiet(ctx))
    return outcome.exit_code


command = _Runs(
    "remediate",
    _run,
    help="Mend something: look, guard, capture, change, verify, report.",
    epilog="Example: irctl remediate db-connections --host prod --check",
)
