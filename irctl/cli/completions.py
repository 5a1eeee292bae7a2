"""What a shell is offered for an argument or option that was begun. Nothing here writes or complains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.phases import REVERT_RECORD
from irctl.cli.base import settings_of
from irctl.errors import EvidenceError, Invalid

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from irctl.record.runs import Folder

NEWEST = 200  # runs that are looked into, files that are offered; a shell waits for the answer
SHELLS = ("bash", "zsh", "fish")


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The runs whose id begins so."""
    from irctl.record import runs as records

    return [folder.run for folder in records.listed(settings_of(ctx).home_path) if folder.run.startswith(incomplete)]


def runs_to_show(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The runs whose id begins so, `last`, and before anything else was typed also `diff`."""
    words = ("last",) if ctx.params.get(param.name or "") else ("last", "diff")
    return [*(word for word in words if word.startswith(incomplete)), *runs(ctx, param, incomplete)]


def undoable_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """`last`, and of the newest runs those whose id begins so, that kept what was there before and were not undone since."""
    from irctl.record import runs as records

    undone: set[str] = set()
    found = []
    for folder in records.listed(settings_of(ctx).home_path)[:NEWEST]:  # what undid a run is newer, so it comes before that
        begun = _document(folder, "run.json")
        if reverted := begun.get("reverts"):
            undone |= {reverted} if _document(folder, "result.json").get("outcome") in ("changed", "unchanged") else set()
        elif not begun.get("check", True) and folder.run not in undone and any(folder.evidence.glob(f"*/{REVERT_RECORD}")):
            found.append(folder.run)
    return [run for run in (records.LAST, *found) if run.startswith(incomplete)]


def _document(folder: Folder, name: str) -> dict[str, Any]:
    try:
        return folder.document(name)
    except EvidenceError:
        return {}


def records_to_verify(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str] | list[CompletionItem]:
    """`last`, and the runs and incidents whose id begins so; a path where none does."""
    from click.shell_completion import CompletionItem

    from irctl.record.runs import LAST

    last = [LAST] if incomplete and LAST.startswith(incomplete) else []
    found = [*last, *runs(ctx, param, incomplete), *incidents(ctx, param, incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def shells(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The shells that complete irctl."""
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


def list_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """After @ the files and folders whose path begins so."""
    import glob

    if not incomplete.startswith("@"):
        return []
    found = sorted(glob.glob(f"{glob.escape(incomplete[1:])}*"))[:NEWEST]
    return [f"@{path}/" if paths.is_folder(path) else f"@{path}" for path in found]


def leased_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The runs whose id begins so and whose change will end by itself, and `last` where there are any."""
    from irctl.leases import register
    from irctl.record.runs import LAST

    on = [lease.run for lease in register.listed(settings_of(ctx).home_path)]
    return [run for run in ([LAST, *on] if on else []) if run.startswith(incomplete)]


def requests(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The requests for approval whose id begins so, as the twelve characters that people use."""
    from irctl.approvals import request

    return [name[:12] for name in request.listed(settings_of(ctx).home_path) if name.startswith(incomplete)]


def incidents(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The incidents whose id begins so."""
    from irctl.incidents import incidents as kept

    return [incident for incident in kept.listed(settings_of(ctx).home_path) if incident.startswith(incomplete)]


def statuses(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The statuses of an incident that begin so, and before one was named also the incidents."""
    from irctl.incidents.incidents import STATUSES

    named = bool(ctx.params.get(param.name or ""))
    matching = [status for status in STATUSES if status.lower().startswith(incomplete.lower())]
    return matching if named else incidents(ctx, param, incomplete) + matching


def severities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The levels of the severity profile in force that begin so."""
    from irctl.incidents import severity

    levels = severity.profile(settings_of(ctx).severity_profile.value).levels
    return [level.name for level in levels if level.name.lower().startswith(incomplete.lower())]


def unfinished_drills(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The incidents of drills that were cut short."""
    from irctl.drills import history

    return [incident for incident in history.unfinished(settings_of(ctx).home_path) if incident.startswith(incomplete)]


def remediations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The remediations whose name begins so."""
    from irctl.catalog import catalog

    return [name for name in catalog.names(settings_of(ctx).contents) if name.startswith(incomplete)]


def topics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The pages of `irctl help` whose name begins so."""
    from irctl.cli import help_topics

    names = [*help_topics.subjects(), *help_topics.roles(settings_of(ctx).contents)]
    return [name for name in names if name.startswith(incomplete)]


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The hosts and groups of a static YAML inventory that begin so; nothing where it is not one."""
    import yaml

    from irctl.catalog import inventory_yaml

    try:
        path = settings_of(ctx).inventory_path()
        files = sorted(path.glob("*.yml")) if paths.is_folder(path) else [path]
        trees = [inventory_yaml.load(file.read_text()) for file in files]
    except (Invalid, OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return []
    return sorted({name for tree in trees for name in _inventory_names(tree) if name.startswith(incomplete)})


def _inventory_names(tree: Any) -> list[str]:
    if not isinstance(tree, dict):
        return []
    names = []
    for name, group in tree.items():
        names.append(str(name))
        if isinstance(group, dict):
            names += [str(host) for host in group.get("hosts") or {}]
            names += _inventory_names(group.get("children"))
    return [name for name in names if name not in ("all", "ungrouped")]
