"""irctl incident list, show, timeline: incidents as their journals have them."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.incident_arguments import chosen_id, incident_argument
from irctl.errors import DONE, EVIDENCE, EvidenceError
from irctl.incidents import incidents
from irctl.incidents.incidents import State


@click.command(cls=Command, name="list", epilog="Example: irctl incident list --all")
@click.option("--all", "everything", is_flag=True, help="List the closed ones too.")
@click.pass_context
def list_(ctx: click.Context, everything: bool) -> int:
    """List the incidents that are open, newest first."""
    from irctl.cli.views import incidents as view

    home = settings_of(ctx).home_path
    states: list[State] = []
    damaged: list[str] = []
    for incident in incidents.listed(home):
        try:
            states.append(incidents.state(home, incident))
        except EvidenceError as error:
            damaged.append(str(error))
    shown = [state for state in states if everything or not state.closed]
    view.show(shown, as_json=wants_json(ctx), none=f"No incident is {'there' if everything else 'open'}.")
    for problem in damaged:
        click.echo(f"error: {problem}", err=True)
    return EVIDENCE if damaged else DONE


@click.command(cls=Command, name="show", epilog="Example: irctl incident show 001")
@incident_argument
@click.option("--notice", is_flag=True, help="Print only the notice to send: INCIDENT DETECTED.")
@click.pass_context
def show(ctx: click.Context, incident: str | None, notice: bool) -> None:
    """Show what it is now, and which clock runs out when."""
    from irctl.cli import render
    from irctl.cli.views import incidents as view
    from irctl.incidents import reports

    home, now = settings_of(ctx).home_path, datetime.now(UTC)
    state = incidents.state(home, chosen_id(ctx, incident, only_looking=True))
    if notice:
        text = reports.known_commander_notice(state)
        render.sentence(text, {"schema": "irctl/notice/1", "incident": state.incident, "text": text}, as_json=wants_json(ctx))
    elif wants_json(ctx):
        render.as_object(reports.document(home, state, now))
    else:
        view.show_one(home, state, now)


@click.command(cls=Command, name="timeline", epilog="Example: irctl incident timeline 001")
@incident_argument
@click.pass_context
def timeline(ctx: click.Context, incident: str | None) -> None:
    """Print all that happened, in order, as its journal has it."""
    from irctl.cli.views import incidents as view

    view.show_timeline(settings_of(ctx).home_path, chosen_id(ctx, incident, only_looking=True), as_json=wants_json(ctx))


COMMANDS = (list_, show, timeline)
