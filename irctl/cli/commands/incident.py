"""irctl incident: open one, write down what happens, watch its clocks, close it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.cli import options
from irctl.cli.base import Group, settings_of, wants_json
from irctl.cli.commands import pack
from irctl.cli.incident_argument import chosen, complete_id, one_incident, split, words_after_id
from irctl.errors import DONE, EVIDENCE, EvidenceError, Invalid, Refused
from irctl.incidents import incidents
from irctl.incidents.incidents import State
from irctl.incidents.severity import Reading
from irctl.record.seal import MANIFEST

command = Group(
    name="incident",
    help="Open, follow and close an incident, and pack its evidence.\n\n"
    "ID is an incident's id or the end of it, such as 001. --incident or IRCTL_INCIDENT may name it instead; without any, on a "
    "terminal, the one that is open is offered.",
    epilog='Example: irctl incident open --title "API answers with errors" --severity P1',
)
COLOURS = {"overdue": "red", "late": "red", "running": "yellow", "met": "green", "over": "green"}


def _complete_severity(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from irctl.incidents import severity

    levels = severity.profile(settings_of(ctx).severity_profile.value).levels
    return [level.name for level in levels if level.name.lower().startswith(incomplete.lower())]


def _complete_status(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    found = complete_id(ctx, param, incomplete) if not ctx.params.get(param.name or "") else []
    return found + [status for status in incidents.STATUSES if status.lower().startswith(incomplete.lower())]


def _add(ctx: click.Context, incident: str, said: str, entry: dict[str, Any]) -> None:
    """Record the entry, then say so."""
    settings = settings_of(ctx)
    incidents.record(settings.home_path, incident, {**entry, "by": settings.operator})
    _say(ctx, incident, said)


def _say(ctx: click.Context, incident: str, said: str) -> None:
    if not wants_json(ctx):
        click.echo(f"{incident} {said}")
        return
    from irctl.cli import render
    from irctl.incidents import reports

    home = settings_of(ctx).home_path
    render.as_object(reports.document(home, incidents.state(home, incident), datetime.now(UTC)))


@command.command(name="open", epilog='Example: irctl incident open --title "API answers with errors" --severity P1')
@click.option("--title", required=True, metavar="TEXT", help="What is wrong, in a few words.")
@click.option("--severity", required=True, metavar="LEVEL", shell_complete=_complete_severity,
              help="A level of the severity profile in force, by name or word. Example: --severity P1")  # fmt: skip
@click.option("--component", metavar="NAME", help="What it is wrong with. Example: --component database")
@click.option("--commander", metavar="WHO", help="The incident commander. Example: --commander ana")
@click.pass_context
def open_(ctx: click.Context, title: str, severity: str, component: str | None, commander: str | None) -> None:
    """Open an incident: give it an id, a folder and a journal, and start its clocks."""
    settings = settings_of(ctx)
    from irctl.incidents import severity as scales

    profile = scales.profile(settings.severity_profile.value)
    level = profile.level(severity)
    named = {"component": component, "commander": commander}
    more = {name: incidents.text(f"--{name}", said) for name, said in named.items() if said is not None}
    incident = incidents.open_incident(settings.home_path, settings.operator, title, level.name, **more, profile=profile.name)
    _say(ctx, incident, f"opened as {level.title} of {profile.name}. It is acknowledged by: irctl incident ack {incident}")


@command.command(name="note", epilog='Example: irctl incident note 001 "Rolled back to release 41"')
@words_after_id("TEXT")
@click.pass_context
def note(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Write TEXT into the timeline; with - as TEXT, what standard input says."""
    incident, said = split(ctx, words, "TEXT")
    if said == "-":
        said = _input()
    _add(ctx, incident, "noted", {"event": "note", "text": incidents.text("TEXT", said, lines=True)})


def _input() -> str:
    try:
        return sys.stdin.buffer.read(5 * incidents.MOST).decode()
    except UnicodeDecodeError:
        raise Invalid("TEXT: standard input is not UTF-8") from None


@command.command(name="status", epilog="Example: irctl incident status 001 monitoring")
@words_after_id("STATUS", _complete_status)
@click.pass_context
def status(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Set the status: Investigating, Identified, Monitoring or Resolved."""
    incident, said = split(ctx, words, "STATUS")
    _add(ctx, incident, f"is {incidents.status_of(said)}", {"event": "status", "status": incidents.status_of(said)})


@command.command(name="severity", epilog="Example: irctl incident severity 001 P0")
@words_after_id("LEVEL")
@click.pass_context
def severity_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Change the severity to LEVEL of the severity profile in force. The clocks count from the start all the same."""
    from irctl.incidents import severity as scales

    incident, said = split(ctx, words, "LEVEL")
    profile = scales.profile(settings_of(ctx).severity_profile.value)
    level = profile.level(said, "LEVEL")
    _add(ctx, incident, f"is {level.title}", {"event": "severity", "severity": level.name, "profile": profile.name})


@command.command(name="assign", epilog="Example: irctl incident assign 001 ops-team")
@words_after_id("WHO")
@click.option("--commander", is_flag=True, help="WHO is the incident commander.")
@click.pass_context
def assign(ctx: click.Context, words: tuple[str, ...], commander: bool) -> None:
    """Assign it to WHO."""
    incident, said = split(ctx, words, "WHO")
    who = incidents.text("WHO", said)
    role = {"role": "commander"} if commander else {}
    _add(ctx, incident, f"{'is commanded by' if commander else 'is assigned to'} {who}", {"event": "assigned", "who": who, **role})


@command.command(name="ack", epilog="Example: irctl incident ack 001")
@one_incident
@click.pass_context
def ack(ctx: click.Context, incident: str | None) -> None:
    """Acknowledge it: somebody is at work. Stops that clock."""
    _add(ctx, chosen(ctx, incident), "acknowledged", {"event": "acknowledged"})


@command.command(name="communicated", epilog="Example: irctl incident communicated 001 --where status-page")
@one_incident
@click.option("--where", type=options.Choice(incidents.PLACES), default=incidents.PLACES[0],
              help="Who was told, or where. 'authority' stops the GDPR clock, the others that for communicating. "
              "Default: status-page.")  # fmt: skip
@click.pass_context
def communicated(ctx: click.Context, incident: str | None, where: str) -> None:
    """Write down that others were told."""
    _add(ctx, chosen(ctx, incident), f"told: {where}", {"event": "communicated", "where": where})


@command.command(name="impact", epilog='Example: irctl incident impact 001 --users "about 500" --services API --data none')
@one_incident
@click.option("--users", metavar="TEXT", help="Affected users: a count or percentage.")
@click.option("--services", metavar="TEXT", help="Affected services and components.")
@click.option("--data", metavar="TEXT", help="Loss, corruption or exposure of data, or 'none'.")
@click.option("--personal-data", type=options.Choice(["yes", "no", "unknown"]),
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
def impact(ctx: click.Context, /, incident: str | None, **given: str | None) -> None:
    """Assess the impact. What is not given stays as it was."""
    found = incidents.assessment({name: said for name, said in given.items() if said is not None})
    _add(ctx, chosen(ctx, incident), "assessed", {"event": "impact", "impact": found})


@command.command(name="close", epilog='Example: irctl incident close 001 --resolution "Rolled back; cause known"')
@one_incident
@click.option("--resolution", metavar="TEXT", help="How it was resolved. Needed unless its status is Resolved.")
@click.pass_context
def close(ctx: click.Context, incident: str | None, resolution: str | None) -> None:
    """Close it, and say what its evidence pack lacks."""
    found = chosen(ctx, incident)
    home = settings_of(ctx).home_path
    state = incidents.state(home, found)
    if state.status != incidents.STATUSES[-1] and resolution is None and not state.closed:
        raise Refused(
            f"{found} is {state.status}. Say how it was resolved with --resolution, or: irctl incident status {found} Resolved"
        )
    said = {"resolution": incidents.text("--resolution", resolution, lines=True)} if resolution is not None else {}
    entry = {"event": "closed", **said, "by": settings_of(ctx).operator}
    incidents.record(home, found, entry)
    from irctl.incidents import checklist, reports

    if not (packed := (home / "incidents" / found / MANIFEST).exists()):  # what is sealed stays as it is until it is packed again
        reports.render(home, found)
    _say(ctx, found, "closed")
    if wants_json(ctx):
        return
    for lacking in checklist.missing(home, found):
        click.echo(f"  still missing: {lacking}")
    if packed:
        click.echo(f"Its pack is older than this. To pack it again: irctl incident pack {found}")


@command.command(name="reopen", epilog='Example: irctl incident reopen 001 "The errors came back"')
@words_after_id("REASON")
@click.pass_context
def reopen(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Open it again."""
    incident, said = split(ctx, words, "REASON")
    _add(ctx, incident, "is open again", {"event": "reopened", "reason": incidents.text("REASON", said)})


@command.command(name="list", epilog="Example: irctl incident list --all")
@click.option("--all", "everything", is_flag=True, help="List the closed ones too.")
@click.pass_context
def list_(ctx: click.Context, everything: bool) -> int:
    """List the incidents that are open, newest first."""
    home = settings_of(ctx).home_path
    found: list[State] = []
    broken = []
    for incident in incidents.listed(home):
        try:
            found.append(incidents.state(home, incident))
        except EvidenceError as error:
            broken.append(str(error))
    shown = [state for state in found if everything or not state.closed]
    _print_list(shown, as_json=wants_json(ctx), none=f"No incident is {'there' if everything else 'open'}.")
    for problem in broken:
        click.echo(f"error: {problem}", err=True)
    return EVIDENCE if broken else DONE


def _print_list(found: list[State], *, as_json: bool, none: str) -> None:
    from irctl.cli import render
    from irctl.incidents.timeline import moment

    keys = ("incident", "title", "severity", "profile", "status", "closed", "component", "commander", "assigned", "held", "drill")
    if as_json:
        rows = [{**{key: getattr(state, key) for key in keys}, "opened": state.times["opened"]} for state in found]
        render.as_object({"schema": "irctl/incidents/1", "incidents": rows})
    elif not found:
        click.echo(none)
    else:
        status_of = [f"{state.status}, closed" if state.closed else state.status for state in found]
        since = [moment(state.times["opened"]) for state in found]
        render.table(
            [one.incident, "drill" if one.drill else one.severity, word, at, one.title]
            for one, word, at in zip(found, status_of, since, strict=True)
        )


@command.command(name="show", epilog="Example: irctl incident show 001")
@one_incident
@click.option("--notice", is_flag=True, help="Print only the notice to send: INCIDENT DETECTED.")
@click.pass_context
def show(ctx: click.Context, incident: str | None, notice: bool) -> None:
    """Show what it is now, and which clock runs out when."""
    from irctl.cli import render
    from irctl.incidents import reports

    home, now = settings_of(ctx).home_path, datetime.now(UTC)
    state = incidents.state(home, chosen(ctx, incident))
    if notice:
        text = reports.known_commander_notice(state)
        render.said(text, {"schema": "irctl/notice/1", "incident": state.incident, "text": text}, as_json=wants_json(ctx))
    elif wants_json(ctx):
        render.as_object(reports.document(home, state, now))
    else:
        _print_state(home, state, now)


def _print_state(home: Path, state: State, now: datetime) -> None:
    from irctl.cli import render
    from irctl.incidents import checklist
    from irctl.incidents.timeline import moment

    closed = f", closed {moment(state.times['closed'])}" if state.closed else ""
    click.echo(f"{click.style(state.incident, bold=True)}  {state.title}")
    what = "a drill" if state.drill else f"{state.level.title} of {state.profile}"
    click.echo(f"{what}, {state.status}{closed}\n")
    rows = {"opened": moment(state.times["opened"]), "component": state.component, "commander": state.commander}
    rows |= {"assigned": state.assigned, "resolution": state.resolution, "legal hold": state.held, "runs": _counted(state.runs)}
    rows |= {"leases": _counted(state.leases), "approvals": str(len(state.approvals) or "")}
    rows |= {name.replace("_", " "): said for name, said in state.impact.items()}
    render.table([f"  {name}", " / ".join(said.splitlines())] for name, said in rows.items() if said)
    if clocks := incidents.readings(state, now, checklist.written(home, state.incident)):
        click.echo("\nClocks")
        render.table(map(_clock_row, clocks))
    click.echo(f"\ntimeline: irctl incident timeline {state.incident}\nfolder: {home / 'incidents' / state.incident}")


def _counted(found: dict[str, dict[str, Any]]) -> str:
    """'2 changed, 1 under way'."""
    words = [str(one.get("outcome") or one.get("state")) for one in found.values()]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _clock_row(one: Reading) -> list[str]:
    due = f"{one.due:%Y-%m-%d %H:%M:%S}" if one.due else ""
    return [f"  {one.clock.says}", due, click.style(_in_words(one), fg=COLOURS.get(one.state)), one.clock.source]


def _in_words(one: Reading) -> str:
    from irctl.incidents.timeline import span

    if one.left is not None:
        length = span(timedelta(seconds=one.left))
        return f"OVERDUE by {length}" if one.state == "overdue" else f"{length} left"
    if one.met is None or one.due is None:
        return _WAITS.get(one.clock.when or one.clock.starts, "does not run")
    late = f", {span(one.met - one.due)} late" if one.state == "late" else ""
    return "over" if one.state == "over" else f"done {one.met:%Y-%m-%d %H:%M:%S}{late}"


_WAITS = {
    "personal-data": "runs where the impact says that personal data may be involved",
    "resolved": "runs from Resolved",
    "monitoring": "runs from Monitoring",
}


@command.command(name="timeline", epilog="Example: irctl incident timeline 001")
@one_incident
@click.pass_context
def timeline(ctx: click.Context, incident: str | None) -> None:
    """Print all that happened, in order, as its journal has it."""
    from irctl.cli import render
    from irctl.incidents.timeline import lines as lines_of
    from irctl.incidents.timeline import moment

    home, found = settings_of(ctx).home_path, chosen(ctx, incident)
    lines = lines_of(home, found)
    if wants_json(ctx):
        rows = [{"seq": line.seq, "at": line.at, "by": line.by, "what": line.what} for line in lines]
        render.as_object({"schema": "irctl/timeline/1", "incident": found, "lines": rows})
        return
    for line in lines:
        first, *more = [printable(part, 10_000) for part in line.what.splitlines()]
        click.echo("\n    ".join([f"{moment(line.at)}  {line.by}: {first}", *more]))


pack.register(command)
