"""People with real keys around one remediation that needs two approvals."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from irctl.record.journal import canonical
from tests.conftest import Done
from tests.integration.conftest import Collection

ROLES = {
    "ana@example.com": "",  # asks
    "ben@example.com": "incident-commander",
    "cyd@example.com": "security",
    "dan@example.com": "incident-commander,security",
    "fay@example.com": "incident-commander,security",
}


BOTH = ("incident-commander", "security")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real key for everybody, and one for eve@example.com, whom nobody allows anything."""
    folder = tmp_path_factory.mktemp("keys")
    for who in [*ROLES, "eve@example.com"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / who], check=True)
    lines = [f"{who} {' '.join((folder / f'{who}.pub').read_text().split()[:2])} roles={ROLES[who]}" for who in ROLES]
    (folder / "allowed").write_text("\n".join(lines) + "\n")
    (folder / "allowed").chmod(0o600)
    return folder


def one_line(text: str) -> str:
    """What is shown in lines of 80 columns, without their ends."""
    return " ".join(text.split())


@dataclass
class Office:
    """People with keys around one remediation, `freeze`, which touches a file and needs two approvals."""

    collection: Collection
    keys: Path
    folder: Path

    @property
    def home(self) -> Path:
        return self.collection.irctl.home

    @property
    def ran(self) -> bool:
        return (self.folder / "frozen").exists()

    def by(self, who: str, *words: str, key: str = "", **environment: str) -> Done:
        """One command as this person."""
        person = {"IRCTL_PRINCIPAL": who, "IRCTL_SIGNING_KEY": str(self.keys / (key or who)), "HOME": str(self.folder)}
        allowed = {"IRCTL_ALLOWED_SIGNERS": str(self.keys / "allowed")}
        return self.collection.irctl(*words, **person | allowed | environment)

    def ask(self, *words: str, who: str = "ana@example.com") -> str:
        done = self.by(who, "request", "freeze", "--host", "here", "--json", *words)
        assert done.code == 0, done.err
        return str(done.json["id"])

    def approve(self, plan: str, who: str, role: str, *words: str, **more: str) -> Done:
        return self.by(who, "approve", plan, "--as", role, "--yes", *words, **more)

    def approved(self, *words: str) -> str:
        """A request with both approvals, given by ben and cyd."""
        plan = self.ask(*words)
        for who, role in zip(("ben@example.com", "cyd@example.com"), BOTH, strict=True):
            done = self.approve(plan, who, role)
            assert done.code == 0, done.err
        return plan

    def run(self, *words: str, **environment: str) -> Done:
        return self.by("ana@example.com", "remediate", "freeze", "--json", *words, **environment)

    def refused(self, done: Done, sentence: str, code: int = 5) -> None:
        """It ended so, for this reason, and nothing ran."""
        assert (done.code, sentence in done.err) == (code, True), done
        assert "Traceback" not in done.err
        assert not self.ran, "it ran all the same"

    def journal(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.home / "journal.jsonl").read_text().splitlines()]

    def edit(self, path: Path, **changes: Any) -> Path:
        """Write a document again with these changes, just as irctl would."""
        path.write_bytes(canonical({**json.loads(path.read_bytes()), **changes}) + b"\n")
        return path


@pytest.fixture
def office(collection: Collection, keys: Path, tmp_path: Path) -> Office:
    options: dict[str, object] = {"level": {"type": "int", "description": "How much.", "default": 1}}
    touch = f"ansible.builtin.file: {{path: {tmp_path}/frozen, state: touch}}"
    collection.role("freeze", options, {"approvals": list(BOTH)}, change=touch)
    return Office(collection, keys, tmp_path)


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def signers(office: Office, name: str, *lines: str) -> str:
    """Another allowed-signers file, of the usual one with lines more; {ben} stands for ben's key."""
    known = {
        who.partition("@")[0]: " ".join((office.keys / f"{who}.pub").read_text().split()[:2]) for who in [*ROLES, "eve@example.com"]
    }
    usual = (office.keys / "allowed").read_text()
    path = office.folder / name
    path.write_text(usual + "".join(f"{line.format(**known)}\n" for line in lines))
    path.chmod(0o600)
    return str(path)
