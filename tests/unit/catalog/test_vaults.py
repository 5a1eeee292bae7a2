"""The passwords of ansible-vault: named by two settings, checked as files, never read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irctl.catalog import config, vaults
from irctl.errors import Invalid


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "pass@word"
    path.write_text("secret")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (0o600, ""),
        (0o400, ""),
        (0o700, ""),
        (0o755, ""),
        (0o640, "a password that others may read (mode 0640); chmod 600"),
        (0o604, "a password that others may read (mode 0604); chmod 600"),
        (0o775, "a program that others may change; chmod go-w"),
        (0o757, "a program that others may change; chmod go-w"),
    ],
)
def test_a_password_is_readable_and_a_program_writable_for_its_owner_alone(mode: int, why: str, password: Path) -> None:
    password.chmod(mode)
    assert vaults.unusable(password) == why


def test_what_is_no_file_is_of_no_use(tmp_path: Path) -> None:
    assert vaults.unusable(tmp_path) == "not a file"
    assert vaults.unusable(tmp_path / "nosuch") == "no such file or directory"
    assert vaults.unusable(Path("a\0b")) == "cannot be read"


def test_both_settings_become_whole_paths_with_labels(password: Path, tmp_path: Path) -> None:
    written = tmp_path / "config.yml"
    written.write_text(f"vault_password_file: {password}\nvault_ids: [prod@{password}, dev@{password}]\n")
    settings = config.load({}, {"IRCTL_CONFIG": str(written)})
    assert settings.vault_identities() == [f"default@{password}", f"prod@{password}", f"dev@{password}"]
    ids = os.pathsep.join([f"prod@{password}", f"dev@{password}"])
    assert settings.vaults() == {"vault_password_file": str(password), "vault_ids": ids}
    assert config.load({}, {}).vault_identities() == []
    assert config.load({}, {}).vaults() == {}


@pytest.mark.parametrize("value", ["/path/alone", "@/path", "prod@", "prod@prompt", "a b@/path", f"prod@/path{os.pathsep}dev"])
def test_an_id_without_label_or_file_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match="IRCTL_VAULT_IDS: LABEL@PATH is needed"):
        config.load({}, {"IRCTL_VAULT_IDS": value})


def test_a_file_that_is_of_no_use_is_named_when_it_is_needed(password: Path) -> None:
    password.chmod(0o644)
    for variable, value in {"VAULT_PASSWORD_FILE": str(password), "VAULT_IDS": f"prod@{password}"}.items():
        with pytest.raises(Invalid, match=rf"{variable.lower()}: a password that others may read .mode 0644.; chmod 600"):
            config.load({}, {f"IRCTL_{variable}": value}).vault_identities()
