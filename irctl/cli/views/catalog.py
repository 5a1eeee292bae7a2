"""The catalogue, and all that is known about one of its entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.catalog import Remediation
from irctl.catalog.definition import Option
from irctl.catalog.summaries import OTHER, Summary, by_theme
from irctl.cli import render


def show(remediations: Sequence[Remediation], diagnoses: Sequence[Remediation], *, as_json: bool) -> None:
    """Print a line for each remediation and diagnosis."""
    if as_json:
        entries = [_object(one) for one in [*remediations, *diagnoses]]
        render.as_object({"schema": "irctl/catalog/1", "entries": entries})
        return
    click.echo("Remediations (irctl remediate NAME)")
    rows = {one.name: [f"    {one.name}", one.about["severity"], _approvals(one), one.summary] for one in remediations}
    lines = dict(zip(rows, render.aligned(rows.values()), strict=True))
    for theme, group in by_theme(Summary(one.name, _theme(one), one.summary) for one in remediations).items():
        click.echo("\n".join([f"  {theme}", *(lines[one.name] for one in group)]))
    click.echo("\nDiagnoses (irctl diagnose NAME)")
    render.table([f"  {one.name}", one.summary] for one in diagnoses)


def _object(one: Remediation) -> dict[str, str]:
    return {"name": one.name, "summary": one.summary, "kind": one.about["kind"], "theme": _theme(one)}


def _theme(one: Remediation) -> str:
    theme: str = one.about.get("theme", OTHER)
    return theme


def _approvals(remediation: Remediation) -> str:
    number = len(remediation.about.get("approvals", []))
    return f"{number} approval{'s' if number > 1 else ''}" if number else ""


def show_entry(remediation: Remediation, *, as_json: bool) -> None:
    """Print all that is known about one remediation."""
    metadata = remediation.about
    if as_json:
        options = [_option_object(option) for option in remediation.options]
        head = {"schema": "irctl/catalog-entry/1", "name": remediation.name, "summary": remediation.summary}
        render.as_object(head | {"description": list(remediation.description), "options": options, "about": metadata})
        return
    click.echo(f"{click.style(remediation.name, bold=True)}: {remediation.summary}\n")
    click.echo("\n".join(remediation.description) + "\n")
    render.table((name, fact) for name, fact in _facts(remediation) if fact)
    click.echo("\nOptions")
    render.table([f"  {option.flag}", _default(option), option.description] for option in remediation.typed)
    click.echo("\nInventory variables")
    variables = [option for option in remediation.options if not option.flag]
    render.table([f"  {option.variable}", _default(option), option.description] for option in variables)
    click.echo(f"\nExample: irctl remediate {remediation.name} {metadata.get('example', '--host prod')}")
    readme = remediation.folder / "README.md"
    if paths.exists(readme):
        click.echo(f"When not to use it: {readme}")


def _option_object(option: Option) -> dict[str, Any]:
    """What a definition says of an option, without the folder that it comes from."""
    values = {key: value for key, value in vars(option).items() if key != "content"}
    return {**values, "choices": list(option.choices)}


def _facts(remediation: Remediation) -> list[tuple[str, str]]:
    metadata = remediation.about
    return [
        ("severity", metadata["severity"]),
        ("impact", metadata["impact"]),
        ("approvals", ", ".join(metadata.get("approvals", [])) or "none needed"),
        ("can be undone", "yes" if metadata["reversible"] else "no"),
        ("alerts", ", ".join(metadata.get("alerts", []))),
        ("practise every", metadata.get("drill_every", "-")),
    ]


def _default(option: Option) -> str:
    if option.default in (None, [], ""):
        return ""
    return option.default if isinstance(option.default, str) else json.dumps(option.default, ensure_ascii=False)
