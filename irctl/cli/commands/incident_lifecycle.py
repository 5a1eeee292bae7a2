"""irctl incident open, close, reopen: the beginning and the end of an incident."""

from __future__ import annotations

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.cli import completions
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.incident_arguments import chosen_id, chosen_id_and_text, id_and_text_arguments, incident_argument
from irctl.cli.incident_journal import record, tell
from irctl.errors import Refused
from irctl.incidents import incidents
from irctl.record.seal import MANIFEST


@click.command(cls=Command, name="open", epilog='Example: irctl incident open --title "API answers with errors" --severity P1')
@click.option("--title", required=True, metavar="TEXT", help="What is wrong, in a few words.")
@click.option("--severity", required=True, metavar="LEVEL", shell_complete=completions.severities,
              help="A level of the severity profile in force, by name or word. Example: --severity P1")  # fmt: skip
@click.option("--component", metavar="NAME", help="What it is wrong with. Example: --component database")
@click.option("--commander", metavar="WHO", help="The incident commander. Example: --commander ana")
@click.pass_context
def open_(ctx: click.Context, title: str, severity: str, component: str | None, commander: str | None) -> None:
    """Open an incident: give it an id, a folder and a journal, and start its clocks."""
    from irctl.incidents import severity as severities

    settings = settings_of(ctx)
    profile = severities.profile(settings.severity_profile.value)
    level = profile.level(severity)
    options = {"component": component, "commander": commander}
    facts = {name: incidents.text(f"--{name}", value) for name, value in options.items() if value is not None}
    incident = incidents.open_incident(settings.home_path, settings.operator, title, level.name, **facts, profile=profile.name)
    tell(ctx, incident, f"opened as {level.title} of {profile.name}. It is acknowledged by: irctl incident ack {incident}")


@click.command(cls=Command, name="close", epilog='Example: irctl incident close 001 --resolution "Rolled back; cause known"')
@incident_argument
@click.option("--resolution", metavar="TEXT", help="How it was resolved. Needed unless its status is Resolved.")
@click.pass_context
def close(ctx: click.Context, incident: str | None, resolution: str | None) -> None:
    """Close it, and say what its evidence pack lacks."""
    from irctl.incidents import checklist, reports

    home, chosen = settings_of(ctx).home_path, chosen_id(ctx, incident)
    state = incidents.state(home, chosen)
    if state.status != incidents.STATUSES[-1] and resolution is None and not state.closed:
        how = f"Say how it was resolved with --resolution, or: irctl incident status {chosen} Resolved"
        raise Refused(f"{chosen} is {state.status}. {how}")
    text = {"resolution": incidents.text("--resolution", resolution, lines=True)} if resolution is not None else {}
    incidents.record(home, chosen, {"event": "closed", **text, "by": settings_of(ctx).operator})
    packed = paths.exists(home / "incidents" / chosen / MANIFEST)
    if not packed:  # what is sealed stays as it is until it is packed again
        reports.render(home, chosen)
    tell(ctx, chosen, "closed")
    if wants_json(ctx):
        return
    for missing in checklist.missing(home, chosen):
        click.echo(f"  still missing: {missing}")
    if packed:
        click.echo(f"Its pack is older than this. To pack it again: irctl incident pack {chosen}")


@click.command(cls=Command, name="reopen", epilog='Example: irctl incident reopen 001 "The errors came back"')
@id_and_text_arguments("REASON")
@click.pass_context
def reopen(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Open it again."""
    incident, reason = chosen_id_and_text(ctx, words, "REASON")
    record(ctx, incident, "is open again", {"event": "reopened", "reason": incidents.text("REASON", reason)})


COMMANDS = (open_, close, reopen)
