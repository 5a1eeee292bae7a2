"""irctl evidence: collect files for an incident, check a sealed record or pack, put an incident on legal hold."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, values
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.evidence_names import shown
from irctl.cli import completions, render
from irctl.cli.base import Group, settings_of, wants_json
from irctl.cli.option_types import Choice, Value
from irctl.cli.views import verification
from irctl.errors import DONE, EVIDENCE, PARTIAL, EvidenceError, Invalid, invalid
from irctl.incidents import collect as collection
from irctl.incidents import copying, incidents, pack_place
from irctl.record import anchored_check, journal, runs, signing
from irctl.record.manifest_format import NotSealed
from irctl.record.unpacked import unpacked
from irctl.record.verify_command import visible

if TYPE_CHECKING:
    from irctl.catalog.config import Settings
    from irctl.record.signing import AllowedFile

command = Group(
    name="evidence",
    help="Collect evidence, and check sealed records and packs.",
    epilog="Example: irctl evidence verify INC-2026-1121-001",
)
SHOWN = 50  # lines about single files; the rest is in the listing


@command.command(name="verify", epilog="Example: irctl evidence verify ./20261121T022311Z-db-connections-7f3a01")
@click.argument("what", metavar="PATH|RUN|INCIDENT", shell_complete=completions.records_to_verify)
@click.option("--allowed-signers", metavar="FILE", help="Who has which key. Default: the setting allowed_signers.")
@click.option("--tsa-ca", metavar="FILE", help="Check the timestamp of a pack with this certificate of its authority, in PEM.")
@click.option("--manifest-hash", type=Value("HASH", values.sha256), help="The hash that was noted when it was sealed.")
@click.option("--require-signer", metavar="PRINCIPAL", help="Exit with 8 unless they have signed it, and it is anchored.")
@click.pass_context
def verify(
    ctx: click.Context, what: str, allowed_signers: str | None, tsa_ca: str | None, manifest_hash: str | None,
    require_signer: str | None,
) -> int:  # fmt: skip
    """Name what was changed, missing, added or reordered in a record or pack since it was sealed.

    PATH may be a copy anywhere, or the .tar that a pack was put into; RUN may be `last`. It is anchored where the journal of
    the home, or --manifest-hash, says that it is the newest one.
    """
    settings = settings_of(ctx)
    place, allowed, ca = _place(settings, what), _allowed(settings, allowed_signers), _file("--tsa-ca", tsa_ca)
    try:
        with unpacked(place) as folder:
            checked, hold = _checked(settings.home_path, folder, allowed, ca)
    except NotSealed as error:
        raise EvidenceError(visible(error)) from None
    if manifest_hash:
        anchored_check.hold_against(checked, manifest_hash.lower())
    if require_signer:
        checked.differences += checked.lacking_proof(require_signer)
    verification.show(place, checked, hold, as_json=wants_json(ctx))
    return EVIDENCE if checked.differences else DONE


def _checked(home: Path, folder: Path, allowed: AllowedFile | None, ca: Path | None) -> tuple[anchored_check.Checked, str]:
    """What checking a folder found, its approvals too, and the reason of its legal hold."""
    from irctl.approvals import recheck

    with pack_place.at_rest(home, folder.name) if _is_of(home, folder) else nullcontext():
        checked = anchored_check.check(folder, home, allowed, ca)
        differences, notes = recheck.recheck_all(folder, checked.manifest, allowed.path if allowed else None)
    checked.differences += differences
    checked.notes += notes
    return checked, _legal_hold(home, folder, checked)


def _place(settings: Settings, what: str) -> Path:
    """The folder, or the .tar, that is meant. Raises Invalid."""
    if _is_folder(what) or _is_tar(what):
        return Path(what)
    if "/" in what or what.endswith(".tar"):
        raise invalid("PATH", "there is no such folder or .tar", what)
    home = settings.home_path
    if incidents.PART_OF_ID.fullmatch(what):
        return home / "incidents" / incidents.find(home, what, "INCIDENT")
    return runs.find(home, what).path


def _is_folder(what: str) -> bool:
    try:
        return bool(what) and paths.is_folder(Path(what))
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _is_tar(what: str) -> bool:
    try:
        return what.endswith(".tar") and paths.is_file(Path(what))
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _is_of(home: Path, folder: Path) -> bool:
    """Whether it is an incident's own folder in this home, and no copy."""
    own = home / "incidents" / folder.name
    return bool(incidents.ID.fullmatch(folder.name)) and paths.is_folder(own) and own.samefile(folder)


def _allowed(settings: Settings, given: str | None) -> AllowedFile | None:
    path = _file("--allowed-signers", given or settings.allowed_signers.value)
    return signing.read_allowed(path) if path else None


def _file(option: str, given: str | None) -> Path | None:
    if not given:
        return None
    try:
        path = Path(given).expanduser()
        exists = paths.is_file(path)
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or of a user who is not there
        exists = False
    if not exists:
        raise invalid(option, "no such file", given)
    return path


def _legal_hold(home: Path, folder: Path, checked: anchored_check.Checked) -> str:
    """The reason of the incident's legal hold, by the home or else by the pack's own journal; '' where it is not on hold."""
    if "incident" not in checked.manifest:
        return ""
    try:
        if checked.name in incidents.listed(home):
            return incidents.state(home, checked.name).held
        return incidents.fold(checked.name, journal.read(folder)).held
    except (EvidenceError, Invalid, KeyError, TypeError, ValueError):  # a copy may hold anything; its differences are told
        return ""


@command.command(
    name="collect", epilog="Example: irctl evidence collect /var/log/app --incident INC-2026-1121-001 --root /var/log --as logs"
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--incident", required=True, metavar="ID", shell_complete=completions.incidents, help="The incident that it belongs to."
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Take only what lies below it, through no link. Repeat it for more. Example: --root /var/log",
)
@click.option("--largest", type=Value("SIZE", collection.size), default="100MiB", help="Skip larger files. Default: 100MiB.")
@click.option("--total", type=Value("SIZE", collection.size), default="1GiB", help="Take no more in all. Default: 1GiB.")
@click.option("--as", "kind", type=Choice(["evidence", "logs"]), default="evidence", help="What it is. Default: evidence.")
@click.option("--label", metavar="LABEL", default="", help="Name it so. One file with --as logs becomes logs/LABEL-TIME.log.")
@click.pass_context
def collect(
    ctx: click.Context, paths: tuple[Path, ...], incident: str, roots: tuple[Path, ...], largest: int, total: int, kind: str,
    label: str,
) -> int:  # fmt: skip
    """Copy files, or all that is below folders, into an incident's folder; list each hash, and each skip with its reason."""
    settings = settings_of(ctx)
    if label and not collection.LABEL.fullmatch(label):
        raise invalid("--label", "letters, digits and dashes, at most 40, such as frontend", label)
    target = incidents.find(settings.home_path, incident, "--incident")
    rules = copying.Rules(roots, largest, total)
    collected = collection.collect(settings.home_path, target, paths, rules, settings.operator, logs=kind == "logs", label=label)
    _print(collected, as_json=wants_json(ctx))
    return PARTIAL if collected.skipped else DONE


def _print(collected: collection.Collected, *, as_json: bool) -> None:
    if as_json:
        render.as_object(collection.document(collected))
        return
    for skipped in collected.skipped[:SHOWN]:
        click.echo(f"skipped  {shown(skipped.path)}: {skipped.reason}", err=True)
    if (unshown := len(collected.skipped) + collected.unlisted - SHOWN) > 0:
        click.echo(f"skipped  {unshown} more, for reasons that its listing gives", err=True)
    number = len(collected.files)
    click.echo(f"{collected.incident}: {number} file{'s' if number > 1 else ''}, {collected.bytes} bytes, in {collected.into}")
    for taken in [file for file in collected.files if file.note][:SHOWN]:
        click.echo(f"  {shown(taken.source)}: {taken.note}")


@command.command(name="hold", epilog='Example: irctl evidence hold INC-2026-1121-001 "Claim 4711 of a customer"')
@click.argument("incident", shell_complete=completions.incidents)
@click.argument("reason")
@click.pass_context
def hold(ctx: click.Context, incident: str, reason: str) -> None:
    """Put an incident on legal hold: nothing of it may be removed. It is written in its journal, and shown wherever it is."""
    _set_hold(ctx, incident, reason, "held")


@command.command(name="release", epilog='Example: irctl evidence release INC-2026-1121-001 "Claim 4711 was settled"')
@click.argument("incident", shell_complete=completions.incidents)
@click.argument("reason")
@click.pass_context
def release(ctx: click.Context, incident: str, reason: str) -> None:
    """End the legal hold of an incident."""
    _set_hold(ctx, incident, reason, "released")


def _set_hold(ctx: click.Context, given: str, reason: str, event: str) -> None:
    settings = settings_of(ctx)
    home, incident = settings.home_path, incidents.find(settings.home_path, given, "INCIDENT")
    text = incidents.text("REASON", reason)
    before = incidents.state(home, incident).held
    if changed := bool(before) != (event == "held"):
        incidents.record(home, incident, {"event": event, "reason": text, "by": settings.operator})
    held = incidents.state(home, incident).held
    sentence = f"is on legal hold: {held}" if held else "is not on legal hold"
    document = {"schema": "irctl/hold/1", "incident": incident, "changed": changed, "held": held or None}
    render.sentence(f"{incident} {sentence}" + ("" if changed else " (it was before)"), document, as_json=wants_json(ctx))
