"""irctl help: the pages of docs/ from the wheel, and what is told of a topic that there is not."""

from __future__ import annotations

import re
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


def test_every_command_that_a_page_names_in_the_place_of_a_link_shows_a_page(irctl: Irctl) -> None:
    """No page leads a terminal to a file that is not there: a wheel has no roles/X/README.md beside docs/."""
    topics = {topic["name"] for topic in only_object(irctl("help", "--json"))["topics"]}
    named = set()
    for topic in topics:
        text = only_object(irctl("help", topic, "--json"))["text"]
        assert not re.search(r"\]\((?!https?:)", text), topic
        named |= set(re.findall(r"`irctl help ([a-z][a-z-]*)`", text))
    assert {"db-connections", "configuration", "security"} <= named <= topics
    assert "its page (`irctl help db-connections`)" in irctl("help", "database-access").out
    assert irctl("help", "db-connections").out.startswith("# db-connections: End idle PostgreSQL sessions")
    assert "| `irctl remediate block-ip --help` |" in irctl("help", "cli").out


def test_the_help_of_a_command_within_another_is_a_topic_too(irctl: Irctl, refused: Callable[..., str]) -> None:
    assert irctl("help", "evidence", "verify").out.startswith("Usage: irctl evidence verify [OPTIONS]")
    assert irctl("help", "remediate", "block-ip").out.startswith("Usage: irctl remediate block-ip [OPTIONS]")
    said = refused("help", "evidence", "verfy")
    assert said == "TOPIC: there is no page 'evidence verfy'. Did you mean verify? `irctl help` lists them"
    assert refused("help", "doctor", "host").startswith("TOPIC: there is no page 'doctor host'.")


def test_an_unknown_topic_gets_the_nearest_and_the_list(refused: Callable[..., str]) -> None:
    assert refused("help", "aprovals") == "TOPIC: there is no page 'aprovals'. Did you mean approvals? `irctl help` lists them"
    assert refused("help", "../../etc/passwd").startswith("TOPIC: there is no page '../../etc/passwd'.")
