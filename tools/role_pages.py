"""The page of a role, and the catalogue: from the roles' meta files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.catalog.content import OURS
from irctl.catalog.definition import Option
from irctl.catalog.summaries import Summary, by_theme
from irctl.cli import options
from tools.markdown import NOTE, table

BEGIN, END = "<!-- written by hand from here -->", "<!-- to here -->"
UNWRITTEN = "Not written yet. Say where this does harm, and where it does not help."


def catalogue(remediations: Sequence[Remediation], diagnoses: Sequence[Remediation]) -> str:
    """The page that lists them all, remediations below their themes."""
    by_name = {one.name: one for one in remediations}
    sections = []
    for theme, group in by_theme(Summary(one.name, one.about["theme"], one.summary) for one in remediations).items():
        rows = [_row(by_name[one.name]) for one in group]
        sections += [f"### {theme}\n", table(("name", "what it does", "severity", "approvals", "can be undone"), rows)]
    seen = [(_link(one), one.summary, ", ".join(one.about.get("alerts", []))) for one in diagnoses]
    return "\n".join(
        [
            NOTE.format(source="the roles' meta files"),
            "# Catalogue\n",
            "`irctl catalog` prints this list, and `irctl catalog NAME` all about one. Each name leads to its page, which says",
            "also when not to use it.\n",
            "## Remediations: `irctl remediate NAME`\n",
            *sections,
            "## Diagnoses: `irctl diagnose NAME`\n",
            table(("name", "what it does", "alerts"), seen),
        ]
    )


def _row(one: Remediation) -> tuple[str, ...]:
    return _link(one), one.summary, one.about["severity"], _approvals(one), _undo(one)


def role(one: Remediation, by_hand: str) -> str:
    """The README of a role; `by_hand` is the part of it that people write."""
    verb = "diagnose" if one.about["kind"] == "diagnosis" else "remediate"
    typed = [(f"`{_flags(option)}`", *_option(option)) for option in one.typed]
    inventory = [(f"`{option.variable}`", *_option(option)[:-1]) for option in one.options if not option.flag]
    command = f"irctl {verb} {one.name}"
    return "\n".join(
        [
            NOTE.format(source="the role's meta files"),
            f"# {one.name}: {one.summary}\n",
            *(f"{paragraph}\n" for paragraph in one.description),
            f"```sh\n{command} {one.about.get('example', '--host prod')}\n```\n",
            f"## When not to use this\n\n{BEGIN}\n{by_hand.strip()}\n{END}\n",
            "## What it does, in this order\n",
            *(f"- {step}" for step in _steps(one)),
            "\n## What to know\n",
            table(("", ""), facts(one)),
            "## Options\n",
            f"On the command line; in an inventory or a playbook each is a variable that begins with `{one.role}_`.\n",
            table(("option", "what it means", "type", "default", "example"), typed),
            "## Inventory variables\n",
            table(("variable", "what it means", "type", "default"), inventory),
            "## Without irctl\n",
            "The role is plain Ansible. Put the collection where Ansible finds collections, then:\n",
            f"```sh\nansible-playbook {one.playbook} -i INVENTORY -e irctl_target=prod\n```\n",
            "Add `--check` for a dry run. Evidence then goes below `~/irctl-evidence`; there is no sealed record and no lock.",
            "",
        ]
    )


def facts(one: Remediation) -> Iterator[tuple[str, str]]:
    """What to know of it before it is run."""
    about = one.about
    looks = about["kind"] == "diagnosis"
    yield "service", about["service"]
    yield "severity", about["severity"]
    yield "impact", about["impact"]
    yield "can be undone", "nothing to undo" if looks else _undo(one)
    yield "a second run", "looks again" if looks else "changes nothing"
    yield "with `--check`", "the same; it only looks" if looks else "looks and guards for real, and says what it would change"
    limits = [option for option in one.typed if option.flag.startswith("--max")]
    for option in limits:
        yield "blast radius", f"{option.description} `{option.flag}`: {option.default} by default, up to {option.maximum}"
    yield "approvals", _approvals(one) or "none"
    yield "evidence kept", "; ".join(_named(one, "Capture")) or "the run's record only"
    yield "alerts", ", ".join(about.get("alerts", [])) or "none"
    yield "needs", ", ".join(f"{kind}: {', '.join(names)}" for kind, names in about.get("needs", {}).items()) or "nothing"
    if about.get("drill_every"):
        yield "practise every", f"{about['drill_every']}; {_practice(one)}"
    yield "source runbooks", "; ".join(_source(source) for source in about.get("sources", [])) or "none"
    yield "corrects in them", ", ".join(about.get("corrects", [])) or "nothing"


def _practice(one: Remediation) -> str:
    """How to make its fault: in the lab, unless the fault needs to be told what only a host of one's own has."""
    if any(option.required for option in catalog.load(one.name, [OURS], entry_point="fault").options):
        return f"on a host whose inventory says `irctl_drills: allowed`: `irctl drill run {one.name} --host HOST`"
    return f"its fault: `irctl lab fault {one.name}`"


def _steps(one: Remediation) -> list[str]:
    tasks = list(_tasks(yaml.safe_load((one.folder / "tasks" / "main.yml").read_text())))
    named = [task["name"].split(" | ", 1) for task in tasks if " | " in task.get("name", "")]
    return [f"**{phase}**: {sentence}" for phase, sentence in named]


def _named(one: Remediation, phase: str) -> list[str]:
    return [step.partition(": ")[2].lower() for step in _steps(one) if step.startswith(f"**{phase}**")]


def _tasks(tasks: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for task in tasks or []:
        yield task
        yield from _tasks(task.get("block", []))


def _option(option: Option) -> tuple[str, str, str, str]:
    kind = option.kind if option.kind in ("duration",) else option.type
    limits = [f"{word} {limit}" for word, limit in (("at least", option.minimum), ("at most", option.maximum)) if limit is not None]
    kind = f"list of {option.elements}" if option.type == "list" else ", ".join([kind, *limits])
    kind = " ".join(["one of", ", ".join(option.choices)]) if option.choices else kind
    example = options.example(option) if option.flag else ""
    return option.description, kind, _value(option.default), f"`{example}`" if example else ""


def _flags(option: Option) -> str:
    return f"{option.flag}/{options.negation(option.flag)}" if option.type == "bool" else option.flag


def _value(value: Any) -> str:
    if value in (None, [], ""):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value}`"


def by_hand(path: Path) -> str:
    """What people wrote in the page that exists."""
    text = path.read_text() if path.exists() else ""
    inside = text.partition(BEGIN)[2].partition(END)[0].strip()
    return inside or UNWRITTEN


def _link(one: Remediation) -> str:
    return f"[{one.name}](../roles/{one.role}/README.md)"


def _approvals(one: Remediation) -> str:
    return ", ".join(one.about.get("approvals", []))


def _undo(one: Remediation) -> str:
    return "yes" if one.about["reversible"] else "no"


def _source(source: str) -> str:
    name, _, lines = source.partition(":")
    return f"{name}, lines {lines.replace('-', ' to ')}"
