"""The page of a role, its README.md: what its definition says, and the one part of it that people write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import catalog
from irctl.catalog.catalog import DIAGNOSIS, Remediation
from irctl.catalog.content import OURS, Content
from irctl.catalog.definition import Definition, Option
from irctl.content.markdown import DOCS, note, table

BEGIN, END = "<!-- written by hand from here -->", "<!-- to here -->"
UNWRITTEN = "Not written yet. Say where this does harm, and where it does not help."


def path(role: Definition) -> Path:
    """Where the page of a role lies."""
    return role.content.root / "roles" / role.role / "README.md"


def text(role: Definition) -> str:
    """The page of a role, with what people wrote in the one that is there. Raises Invalid."""
    diagnosis = role.role.startswith(DIAGNOSIS)
    name = role.role.removeprefix(DIAGNOSIS).replace("_", "-")
    return _text(catalog.load(name, [role.content], diagnosis=diagnosis), by_hand(path(role)))


def _text(one: Remediation, by_hand: str) -> str:
    verb = "diagnose" if one.about["kind"] == "diagnosis" else "remediate"
    typed = [(f"`{_flags(option)}`", *_option(option)) for option in one.typed]
    inventory = [(f"`{option.variable}`", *_option(option)[:-1]) for option in one.options if not option.flag]
    command = f"irctl {verb} {one.name}"
    return "\n".join(
        [
            _note(one.content),
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


def _note(content: Content) -> str:
    return note("the role's meta files", DOCS if content == OURS else "irctl content build")


def facts(one: Remediation) -> Iterator[tuple[str, str]]:
    """What to know of it before it is run."""
    about = one.about
    looks = about["kind"] == "diagnosis"
    yield "service", about["service"]
    yield "severity", about["severity"]
    yield "impact", about["impact"]
    yield "can be undone", "nothing to undo" if looks else undo(one)
    yield "a second run", "looks again" if looks else "changes nothing"
    yield "with `--check`", "the same; it only looks" if looks else "looks and guards for real, and says what it would change"
    limits = [option for option in one.typed if option.flag.startswith("--max")]
    for option in limits:
        yield "blast radius", f"{option.description} `{option.flag}`: {option.default} by default, up to {option.maximum}"
    yield "approvals", approvals(one) or "none"
    yield "evidence kept", "; ".join(_named(one, "Capture")) or "the run's record only"
    yield "alerts", ", ".join(about.get("alerts", [])) or "none"
    yield "needs", ", ".join(f"{kind}: {', '.join(names)}" for kind, names in about.get("needs", {}).items()) or "nothing"
    if about.get("drill_every"):
        yield "practise every", f"{about['drill_every']}; {_practice(one)}"
    yield "source runbooks", "; ".join(_source(source) for source in about.get("sources", [])) or "none"
    yield "corrects in them", ", ".join(about.get("corrects", [])) or "nothing"


def _practice(one: Remediation) -> str:
    """How to make its fault: in the lab, unless the fault needs to be told what only a host of one's own has."""
    if one.content != OURS or any(option.required for option in catalog.load(one.name, [one.content], entry_point="fault").options):
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
    example = option.typed_example if option.flag else ""
    return option.description, kind, _value(option.default), f"`{example}`" if example else ""


def _flags(option: Option) -> str:
    return f"{option.flag}/{option.negation}" if option.type == "bool" else option.flag


def _value(value: Any) -> str:
    if value in (None, [], ""):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value}`"


def by_hand(path: Path) -> str:
    """What people wrote in the page that exists."""
    text = path.read_text() if paths.is_file(path) else ""
    inside = text.partition(BEGIN)[2].partition(END)[0].strip()
    return inside or UNWRITTEN


def approvals(one: Remediation) -> str:
    return ", ".join(one.about.get("approvals", []))


def undo(one: Remediation) -> str:
    return "yes" if one.about["reversible"] else "no"


def _source(source: str) -> str:
    name, _, lines = source.partition(":")
    return f"{name}, lines {lines.replace('-', ' to ')}"
