"""irctl incident note, status, severity, assign, ack, communicated, impact: what happens while an incident is open."""

from __future__ import annotations

import sys

import click

from irctl.cli import completions
from irctl.cli.base import Command, settings_of
from irctl.cli.incident_arguments import chosen_id, chosen_id_and_text, id_and_text_arguments, incident_argument
from irctl.cli.incident_journal import record
from irctl.cli.option_types import Choice
from irctl.errors import Invalid
from irctl.incidents import incidents


@click.command(cls=Command, name="note", epilog='Example: irctl incident note 001 "Rolled back to release 41"')
@id_and_text_arguments("TEXT")
@click.pass_context
def note(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Write TEXT into the timeline; with - as TEXT, what standard input says."""
    incident, text = chosen_id_and_text(ctx, words, "TEXT")
    if text == "-":
        text = _standard_input()
    record(ctx, incident, "noted", {"event": "note", "text": incidents.text("TEXT", text, lines=True)})


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read(5 * incidents.MOST).decode()
    except UnicodeDecodeError:
        raise Invalid("TEXT: standard input is not UTF-8") from None


@click.command(cls=Command, name="status", epilog="Example: irctl incident status 001 monitoring")
@id_and_text_arguments("STATUS", completions.statuses)
@click.pass_context
def status(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Set the status: Investigating, Identified, Monitoring or Resolved."""
    incident, word = chosen_id_and_text(ctx, words, "STATUS")
    new = incidents.status_of(word)
    record(ctx, incident, f"is {new}", {"event": "status", "status": new})


@click.command(cls=Command, name="severity", epilog="Example: irctl incident severity 001 P0")
@id_and_text_arguments("LEVEL")
@click.pass_context
def severity_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Change the severity to LEVEL of the severity profile in force. The clocks count from the start all the same."""
    from irctl.incidents import severity as severities

    incident, word = chosen_id_and_text(ctx, words, "LEVEL")
    profile = severities.profile(settings_of(ctx).severity_profile.value)
    level = profile.level(word, "LEVEL")
    record(ctx, incident, f"is {level.title}", {"event": "severity", "severity": level.name, "profile": profile.name})


@click.command(cls=Command, name="assign", epilog="Example: irctl incident assign 001 ops-team")
@id_and_text_arguments("WHO")
@click.option("--commander", is_flag=True, help="WHO is the incident commander.")
@click.pass_context
def assign(ctx: click.Context, words: tuple[str, ...], commander: bool) -> None:
    """Assign it to WHO."""
    incident, text = chosen_id_and_text(ctx, words, "WHO")
    who = incidents.text("WHO", text)
    entry = {"event": "assigned", "who": who} | ({"role": "commander"} if commander else {})
    record(ctx, incident, f"{'is commanded by' if commander else 'is assigned to'} {who}", entry)


@click.command(cls=Command, name="ack", epilog="Example: irctl incident ack 001")
@incident_argument
@click.pass_context
def ack(ctx: click.Context, incident: str | None) -> None:
    """Acknowledge it: somebody is at work. Stops that clock."""
    record(ctx, chosen_id(ctx, incident), "acknowledged", {"event": "acknowledged"})


@click.command(cls=Command, name="communicated", epilog="Example: irctl incident communicated 001 --where status-page")
@incident_argument
@click.option("--where", type=Choice(incidents.PLACES), default=incidents.PLACES[0],
              help="Who was told, or where. 'authority' stops the GDPR clock, the others that for communicating. "
              "Default: status-page.")  # fmt: skip
@click.pass_context
def communicated(ctx: click.Context, incident: str | None, where: str) -> None:
    """Write down that others were told."""
    record(ctx, chosen_id(ctx, incident), f"told: {where}", {"event": "communicated", "where": where})


@click.command(
    cls=Command, name="impact", epilog='Example: irctl incident impact 001 --users "about 500" --services API --data none'
)
@incident_argument
@click.option("--users", metavar="TEXT", help="Affected users: a count or percentage.")
@click.option("--services", metavar="TEXT", help="Affected services and components.")
@click.option("--data", metavar="TEXT", help="Loss, corruption or exposure of data, or 'none'.")
@click.option("--personal-data", type=Choice(["yes", "no", "unknown"]),
              help="Whether personal data is involved; unless 'no', the GDPR clock runs. Default: by --data.")  # fmt: skip
@click.option("--business", metavar="TEXT", help="Revenue, reputation.")
@click.option(
    "--urgency",
    metavar="WORDS",
    help="Of ongoing|stopped, worse|stable|improving, high|medium|low. Example: --urgency ongoing,worse,high",
)
@click.option(
    "--classification",
    metavar="WORDS",
    help="Of security|outage|data|performance, known|unknown (the cause). Example: --classification outage,unknown",
)
@click.pass_context
def impact(ctx: click.Context, /, incident: str | None, **options: str | None) -> None:
    """Assess the impact. What is not given stays as it was."""
    assessment = incidents.assessment({name: value for name, value in options.items() if value is not None})
    record(ctx, chosen_id(ctx, incident), "assessed", {"event": "impact", "impact": assessment})


COMMANDS = (note, status, severity_, assign, ack, communicated, impact)
