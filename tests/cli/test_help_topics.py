"""irctl help: the pages of docs/ from the wheel, and what is told of a topic that there is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import only_object
from tests.conftest import ROOT, Irctl


def test_every_page_of_docs_is_a_topic_and_so_is_every_remediation(irctl: Irctl) -> None:
    listed = {topic["name"]: topic["title"] for topic in only_object(irctl("help", "--json"))["topics"]}
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"test-hosts"}
    assert pages | {"block-ip", "postgres"} <= {*listed}
    assert all(listed.values()), "each has a title"
    assert "  approvals " in irctl("help").out


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("approvals", "# Approvals"),
        ("block-ip", "# block-ip: Block addresses at the edge"),
        ("postgres", "# postgres: Look at PostgreSQL"),
        ("remediate", "Usage: irctl remediate"),
    ],
)
def test_a_topic_is_shown_without_the_comments_of_its_source(irctl: Irctl, topic: str, text: str) -> None:
    shown = irctl("help", topic)
    assert (shown.code, shown.out.startswith(text), "<!--" in shown.out) == (0, True, False)
    assert only_object(irctl("help", topic, "--json"))["text"].strip() == shown.out.strip()


def test_an_unknown_topic_gets_the_nearest_and_the_list(refused: Callable[..., str]) -> None:
    assert refused("help", "aprovals") == "TOPIC: there is no page 'aprovals'. Did you mean approvals? `irctl help` lists them"
    assert refused("help", "../../etc/passwd").startswith("TOPIC: there is no page '../../etc/passwd'.")
