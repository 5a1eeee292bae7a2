"""A request for approval, as whoever approves it must see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.catalog import Remediation
from irctl.cli import render
from irctl.cli.views import affected

if TYPE_CHECKING:
    from irctl.approvals.request import Request


def show(remediation: Remediation, request: Request) -> None:
    """Print all that an approver has to know, with nothing in it that a terminal would act on."""
    click.echo(f"{click.style(remediation.name, bold=True)}: {remediation.summary}\n")
    render.table(_facts(remediation, request))
    for host, settings in request.plan["hosts"].items():
        click.echo(f"\n{values.printable(host)}  dry run: {_dry_run(request.document['dry_run'], host)}")
        for line in _affected(request.document["dry_run"], host):
            click.echo(line)
        render.table([f"  {values.printable(name)}", json.dumps(value)] for name, value in sorted(settings.items()))
    click.echo()


def _affected(dry_run: Mapping[str, Any], host: str) -> list[str]:
    """What exactly would be changed on a host, all that the request names of it."""
    exactly = dry_run["hosts"].get(host, {}).get("affected")
    return affected.lines({host: exactly}, dry_run.get("run", ""), most=exactly["count"]) if exactly else []


def _facts(remediation: Remediation, request: Request) -> list[tuple[str, str]]:
    metadata, document = remediation.about, request.document
    return [
        ("impact", values.printable(metadata["impact"])),
        ("can be undone", "yes" if metadata["reversible"] else "NO"),
        ("ends by itself", f"after {values.duration(document['lease'])}" if document["lease"] else "no"),
        ("incident", request.incident or "none"),
        ("requested by", values.printable(request.requester)),
        ("reason", json.dumps(document["reason"], ensure_ascii=True)),
        ("needs", " and ".join(document["needs"]) or "nobody"),
        ("expires", document["expires"]),
        ("content", f"{request.plan['content']} (the same here)"),
        ("plan", document["plan_hash"]),
        ("request", request.id),
    ]


def _dry_run(dry_run: Mapping[str, Any], host: str) -> str:
    result = dry_run["hosts"].get(host, {"outcome": "not tried", "reason": ""})
    word = {"changed": "would change"}.get(result["outcome"], result["outcome"])
    return values.printable(f"{word}  {result['reason']}")
