"""From what was typed to an order, and carrying it out with progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from irctl.catalog.catalog import Remediation
from irctl.cli import options
from irctl.cli.base import is_quiet, remind, root_of, settings_of, wants_json

if TYPE_CHECKING:
    from irctl.orders.order import Order, Outcome


def typed_order(ctx: click.Context, remediation: Remediation, values: Mapping[str, Any], *, check: bool) -> Order:
    """The order for the values of a command's options, by click's names. Raises Invalid where there is no such incident."""
    from irctl.orders.order import Order

    names = {option.flag.removeprefix("--").replace("-", "_"): option.variable for option in remediation.typed}
    return Order(
        remediation=remediation,
        names=tuple(dict.fromkeys(values["hosts"])),
        given=options.variables_of(ctx, names, values),
        check=check,
        incident=whole_incident(ctx, values["incident"]),
        timeout=values["timeout"],
        lease=values.get("lease") or 0,
        verbosity=root_of(ctx).get("verbose", 0),
    )


def whole_incident(ctx: click.Context, given: str | None) -> str:
    """The whole id of the incident that --incident names; '' for none. Raises Invalid."""
    if not given:
        return ""
    from irctl.incidents import incidents

    return incidents.find(settings_of(ctx).home_path, given, "--incident")


def carry_out(ctx: click.Context, order: Order) -> Outcome:
    """Say what earlier commands left behind, then carry out the order with progress. Raises IrctlError."""
    from irctl.record.run_id import new_id
    from irctl.running import playbook_process, surroundings

    settings = settings_of(ctx)
    remind(settings.home_path)
    order = replace(order, incident=order.incident or _confirmed_incident(ctx, order, settings.home_path))
    if not order.urgent:
        surroundings.require()
    with playbook_process.begun(new_id(order.title)) as process:
        from irctl.cli.progress import progress  # what takes long to import is imported while Ansible is
        from irctl.orders import execution

        with progress(order, quiet=wants_json(ctx) or is_quiet(ctx)) as show:
            return execution.carry_out(order, settings, show, process)


def _confirmed_incident(ctx: click.Context, order: Order, home: Path) -> str:
    """The one incident that is open, where somebody at the terminal confirms that the order belongs to it; else ''."""
    if not order.changes or wants_json(ctx) or not sys.stdin.isatty():
        return ""
    from irctl.incidents import incidents

    only = incidents.single_open(home)
    belongs = only is not None and click.confirm(f"Does this belong to {only.incident} ({only.title})?", default=True, err=True)
    return only.incident if only and belongs else ""
