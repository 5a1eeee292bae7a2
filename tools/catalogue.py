"""The page that lists all remediations and diagnoses: from the roles' meta files."""

from __future__ import annotations

from collections.abc import Sequence

from irctl.catalog.catalog import Remediation
from irctl.catalog.summaries import Summary, by_theme
from irctl.content import page
from irctl.content.markdown import note, table


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
            note("the roles' meta files"),
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
    return _link(one), one.summary, one.about["severity"], page.approvals(one), page.undo(one)


def _link(one: Remediation) -> str:
    return f"[{one.name}](../roles/{one.role}/README.md)"
