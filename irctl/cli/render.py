"""What commands print on standard output: a few lines for a person, or exactly one JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog.catalog import Option, Remediation
from irctl.orders import flow
from irctl.orders.flow import Order, Outcome
from irctl.record import runs as folders
from irctl.record.seal import Checked

COLOURS = {"changed": "green", "unchanged": "green", "refused": "yellow"}


def as_object(document: Mapping[str, Any]) -> None:
    """Print one JSON object; control characters that JSON would leave raw are escaped too."""
    text = json.dumps(document, ensure_ascii=False)
    click.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell; the last column runs on."""
    lines = [list(row) for row in rows]
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*lines, strict=True)][:-1]
    for line in lines:
        padded = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=False)]
        click.echo("  ".join([*padded, line[-1]]).rstrip())


def said(sentence: str, document: Mapping[str, Any], *, as_json: bool) -> None:
    """One sentence for a person, or the object that says the same."""
    if as_json:
        as_object(document)
    else:
        click.echo(sentence)


def _outcome(word: str, *, check: bool = False) -> str:
    shown = "would change" if check and word == "changed" else word
    return click.style(shown, fg=COLOURS.get(word, "red"))


def run(order: Order, done: Outcome, *, as_json: bool) -> None:
    """The result of an order: a line for each host, then how long, where the record is, and whether it can be undone."""
    if as_json:
        as_object(flow.envelope(order, done))
        return
    table([name, _outcome(host.outcome, check=order.check), host.reason] for name, host in done.hosts.items())
    final = order.entry_point == "main" and not order.check and not order.found.about.get("reversible", True)
    undo = " · cannot be undone" if final and done.outcome in ("changed", "partial") else ""
    click.echo(f"{done.seconds:.1f} s · record: {done.folder} (sealed){undo}")
    if done.outcome == "indeterminate" and (look := order.found.about.get("diagnose")):
        click.echo(f"Its hosts may have been changed. Look: irctl diagnose {look} --host {order.names[0]}")


def plan(order: Order, done: Outcome, *, as_json: bool) -> None:
    """What would run, and what the dry run found."""
    if as_json:
        as_object({**done.plan, "plan_hash": done.plan_hash, "check_result": flow.envelope(order, done)})
        return
    click.echo(f"plan      {done.plan_hash}")
    click.echo(f"content   {done.plan['content']}")
    for host, settings in done.plan["hosts"].items():
        click.echo(f"{host}")
        table(["  " + name, json.dumps(value, ensure_ascii=False)] for name, value in sorted(settings.items()))
    run(order, done, as_json=False)


def diagnosis(order: Order, done: Outcome, *, as_json: bool) -> None:
    """Each finding in plain words, with the command to run next."""
    if as_json:
        document = flow.envelope(order, done)
        as_object({**document, "schema": "irctl/diagnosis/1"})
        return
    for name, host in done.hosts.items():
        click.echo(
            f"{name}  {click.style(host.reason, bold=True) if host.findings else _outcome(host.outcome) + '  ' + host.reason}"
        )
        for finding in host.findings:
            mark = {"problem": click.style("!", fg="red"), "notice": click.style("·", fg="yellow")}.get(finding["level"], " ")
            click.echo(f"  {mark} {finding['says']}")
            if finding.get("next"):
                click.echo(f"      next: {finding['next'].replace('{host}', name)}")
    click.echo(f"{done.seconds:.1f} s · record: {done.folder} (sealed)")


def about(found: Remediation, *, as_json: bool) -> None:
    """All that is known about one remediation."""
    if as_json:
        options = [{**vars(option), "choices": list(option.choices)} for option in found.options]
        head = {"schema": "irctl/catalog-entry/1", "name": found.name, "summary": found.summary}
        as_object(head | {"description": list(found.description), "options": options, "about": found.about})
        return
    meta = found.about
    click.echo(f"{click.style(found.name, bold=True)}: {found.summary}\n")
    click.echo("\n".join(found.description) + "\n")
    approvals = ", ".join(meta.get("approvals", [])) or "none needed"
    rows = [("severity", meta["severity"]), ("impact", meta["impact"]), ("approvals", approvals)]
    rows.append(("can be undone", "yes" if meta["reversible"] else "no"))
    rows += [("alerts", ", ".join(meta.get("alerts", []))), ("sources", ", ".join(meta.get("sources", [])))]
    rows += [("corrects", ", ".join(meta.get("corrects", []))), ("practise every", meta.get("drill_every", "-"))]
    table(rows)
    click.echo("\nOptions")
    table([f"  {option.flag}", _default(option), option.description] for option in found.typed)
    click.echo("\nInventory variables")
    table([f"  {option.variable}", _default(option), option.description] for option in found.options if not option.flag)
    readme = found.folder / "README.md"
    click.echo(f"\nExample: irctl remediate {found.name} {meta.get('example', '--host prod')}")
    if readme.exists():
        click.echo(f"When not to use it: {readme}")


def _default(option: Option) -> str:
    return "" if option.default in (None, [], "") else json.dumps(option.default, ensure_ascii=False).strip('"')[:24]


def catalog(found: Sequence[Remediation], looks: Sequence[Remediation], *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": one.name, "summary": one.summary, "kind": one.about["kind"]} for one in [*found, *looks]]
        as_object({"schema": "irctl/catalog/1", "entries": rows})
        return
    click.echo("Remediations (irctl remediate NAME)")
    table([f"  {one.name}", one.about["severity"], _needs(one), one.summary] for one in found)
    click.echo("\nDiagnoses (irctl diagnose NAME)")
    table([f"  {one.name}", one.summary] for one in looks)


def _needs(one: Remediation) -> str:
    number = len(one.about.get("approvals", []))
    return f"{number} approval{'s' if number > 1 else ''}" if number else ""


def runs(found: Sequence[folders.Folder], *, as_json: bool) -> None:
    rows = [_run_row(folder) for folder in found]
    if as_json:
        as_object({"schema": "irctl/runs/1", "runs": rows})
    elif not rows:
        click.echo("There are no runs yet.")
    else:
        table([row["run"], _outcome(row["outcome"], check=row["check"]), ", ".join(row["hosts"][:5])] for row in rows)


def _run_row(folder: folders.Folder) -> dict[str, Any]:
    begun = folder.document("run.json")
    ended = folder.document("result.json") if (folder.path / "result.json").exists() else {"outcome": "under way"}
    keys = ("run", "remediation", "incident", "check", "started")
    return {key: begun[key] for key in keys} | {"hosts": sorted(begun["hosts"]), "outcome": ended["outcome"]}


def one_run(folder: folders.Folder, *, as_json: bool) -> None:
    if not (folder.path / "result.json").exists():
        document = folder.document("run.json")
        as_object(document) if as_json else click.echo(f"{folder.run} is under way since {document['started']}")
        return
    document = folder.document("result.json")
    if as_json:
        as_object(document)
        return
    click.echo(f"{click.style(document['run'], bold=True)}  {document['started']}  {document['seconds']} s")
    table([name, _outcome(host["outcome"], check=document["check"]), host["reason"]] for name, host in document["hosts"].items())
    kept = sorted(path for path in folder.path.rglob("*") if path.is_file())
    table([f"  {path.relative_to(folder.path)}", f"{path.stat().st_size} bytes"] for path in kept)
    click.echo(f"folder: {folder.path}\ncheck it: irctl evidence verify {folder.run}")


def verified(folder: Path, checked: Checked, held: str, *, as_json: bool) -> None:
    """What checking a sealed folder found, each difference on a line of its own."""
    about, found = checked.about, checked.differences
    if as_json:
        rows = [{"kind": one.kind, "name": one.name.encode("utf-8", "backslashreplace").decode()} for one in found]
        what = {"incident": checked.name} if "incident" in about else {"run": checked.name}
        head = {"schema": "irctl/verification/1", **what, "sealed": about["sealed"], "intact": not found}
        more = {"manifest": checked.digest, "signer": checked.signer or None, "held": held or None, "notes": checked.notes}
        as_object(head | {"anchored": checked.anchored, **more, "differences": rows})
        return
    for one in found:
        click.echo(click.style(f"{one.kind:<8} {printable(folder / one.name)}", fg="red"))
    click.echo(_verdict(checked))
    if "incident" in about and not found:
        click.echo(f"  signed by {printable(checked.signer)}" if checked.signer else click.style("  NOT signed", fg="yellow"))
    for note in checked.notes:
        click.echo(f"  {printable(note)}")
    if held:
        click.echo(f"  on legal hold: {printable(held)}")


def _verdict(checked: Checked) -> str:
    about, number = checked.about, len(checked.differences)
    said = f"as it was sealed at {about['sealed']}"
    if number and {one.kind for one in checked.differences} == {"older"}:
        return f"{checked.name} is {said}, but it is NOT the newest pack"
    if number:
        return f"{checked.name} is NOT {said}: {number} difference{'s' if number > 1 else ''}"
    said = f"{checked.name} is {said}: {len(about['files'])} files match"
    if "incident" in about:
        lines = about["journal"]["seq"]
        said = f"{said.removesuffix(' match')} and {lines} line{'s' if lines > 1 else ''} of its journal match"
    return f"{said}, {'and the journal knows this manifest' if checked.anchored else 'no journal here knows it: UNANCHORED'}"


def quiet(what: str, about: Any) -> None:
    """Show of a run within another command only what is said aloud; what happens is in the run's record."""
    if what == "said":
        click.echo(f"warning: {about}", err=True)
