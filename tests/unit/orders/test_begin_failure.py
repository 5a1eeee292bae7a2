"""What is told of Ansible's words where it ended before anything was run."""

from __future__ import annotations

from pathlib import Path

import pytest

from irctl.errors import Invalid
from irctl.orders import begin_failure

WORDS = [
    "[WARNING]: Error loading plugin 'acme.cloud.hosts': No module named 'acme'",
    "[WARNING]: Failed to parse inventory with 'auto' plugin: unknown plugin 'acme.cloud.hosts'",
    "[WARNING]: Failed to parse inventory with 'yaml' plugin: not YAML inventory",
    "[WARNING]: Failed to parse inventory with 'ini' plugin: Invalid host pattern 'plugin:'",
    "[ERROR]: Completely failed to parse inventory source",
]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("hosts.yml", "plugin: acme.cloud.hosts", "Error loading plugin 'acme.cloud.hosts': No module named 'acme' unknown plugin"),
        ("hosts.yml", "plugin: acme.cloud.hosts\nkey: !vault |\n  $ANSIBLE_VAULT;1.1;AES256", "unknown plugin 'acme.cloud.hosts'"),
        ("hosts.yml", "all: [a]", "--inventory: not YAML inventory"),
        ("hosts.yml", "all: {", "--inventory: not YAML inventory"),
        ("hosts", "[web", "--inventory: Invalid host pattern 'plugin:'"),
    ],
)
def test_the_parser_that_the_inventory_is_for_has_the_word(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    error = begin_failure.reason(1, WORDS, tmp_path / name)
    assert isinstance(error, Invalid)
    assert words in str(error)
    assert ("Invalid host pattern" in str(error)) == (name == "hosts")


def test_a_folder_is_for_a_plugin_where_one_of_its_files_is(tmp_path: Path) -> None:
    (tmp_path / "1.yml").write_text("all: {}")
    assert "Completely failed" in str(begin_failure.reason(1, WORDS[-1:], tmp_path))
    (tmp_path / "2.yml").write_text("plugin: acme.cloud.hosts")
    assert "unknown plugin 'acme.cloud.hosts'" in str(begin_failure.reason(1, WORDS, tmp_path))


def test_what_is_encrypted_is_named_with_the_settings_that_help(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n00")
    for inventory in (tmp_path, tmp_path / "hosts.yml"):
        error = begin_failure.reason(4, ["[ERROR]: Entschlüsseln ging nicht."], inventory)
        assert isinstance(error, Invalid)
        assert "group_vars/all.yml is encrypted; vault_password_file or vault_ids name its password" in str(error)


def test_anything_else_is_told_with_the_code(tmp_path: Path) -> None:
    error = begin_failure.reason(250, ["[ERROR]: Unexpected Exception"], tmp_path)
    assert not isinstance(error, Invalid)
    assert str(error) == "ansible ended with 250 before anything was run: [ERROR]: Unexpected Exception"
