"""An incident with runs, files and notes, to be packed, and what checking its pack finds."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from irctl.catalog import config
from irctl.incidents import incidents, pack_place
from irctl.record import anchored_check, verify
from tests.conftest import Done, Irctl
from tests.integration.conftest import Collection


@dataclass
class Case:
    """An incident with two runs, forty collected files, notes and a hold, packed and signed by ana."""

    irctl: Irctl
    incident: str
    key: Path
    allowed: Path
    logs: Path

    @property
    def home(self) -> Path:
        return self.irctl.home

    @property
    def folder(self) -> Path:
        return self.home / "incidents" / self.incident

    def pack(self, *words: str, **environment: str) -> Done:
        return self.irctl("incident", "pack", self.incident, "--json", *words, **environment)

    def verify(self, what: Path | str = "", *words: str) -> Done:
        return self.irctl("evidence", "verify", str(what or self.incident), "--json", *words)

    def settings(self) -> config.Settings:
        return config.load({"home": str(self.home)}, {"IRCTL_SIGNING_KEY": str(self.key)})

    def differences(self) -> list[str]:
        """As the home knows the pack, after finishing what a killed process left."""
        with pack_place.at_rest(self.home, self.incident):
            return [str(one) for one in anchored_check.check(self.folder, self.home).differences]


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path


def make_case(folder: Path) -> Case:
    collection = Collection(folder)
    irctl, key, allowed, logs = collection.irctl, new_key(folder / "key"), folder / "allowed", folder / "logs"
    allowed.write_text(f"ana@example.com {key.with_suffix('.pub').read_text().strip()} roles=incident-commander\n")
    allowed.chmod(0o600)
    irctl.environment |= {"IRCTL_SIGNING_KEY": str(key), "IRCTL_PRINCIPAL": "ana@example.com"}
    collection.role("restart_it")
    assert irctl("incident", "open", "--title", "It is down", "--severity", "P1").code == 0
    [incident] = incidents.listed(irctl.home)
    (logs / "app").mkdir(parents=True)
    for number in range(40):
        (logs / "app" / f"{number}.log").write_text(f"line {number}\n" * (number + 1))
    case = Case(irctl, incident, key, allowed, logs)
    words = ["evidence", "collect", str(logs), "--incident", incident, "--root", str(folder)]
    assert irctl(*words).code == 0
    assert irctl(*words[:2], str(logs / "app" / "1.log"), *words[3:], "--as", "logs", "--label", "frontend").code == 0
    for _ in range(2):
        assert irctl("remediate", "restart-it", "--host", "both", "--incident", incident).code == 0
    assert irctl("incident", "note", incident, "Größe ist wichtig: <b>&").code == 0
    return case


def found(folder: Path) -> list[str]:
    """What checking finds: differences, or that the manifest is none."""
    try:
        report = verify.check(folder)
    except verify.NotSealed as error:
        return [str(error)]
    return [str(one) for one in report.differences + report.later]
