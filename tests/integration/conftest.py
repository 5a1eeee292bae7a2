"""A collection of the user's own, made for one test: roles with whatever steps the test needs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import Irctl, write_inventory
from tests.servers import seaweed as seaweedfs
from tests.servers.hosts import hosts  # noqa: F401 - a fixture
from tests.servers.shared import place, shared

PHASES = ("Gather", "Guard", "Capture", "Change", "Verify")


class Collection:
    """The collection acme.fixes, and the command with it in force; its hosts `here` and `there` are this machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "fixes"
        self.root.mkdir()
        (self.root / "galaxy.yml").write_text("namespace: acme\nname: fixes\nversion: 1.0.0\n")
        local = {"ansible_connection": "local"}
        inventory = write_inventory(folder, {"here": local, "there": local}, both=["here", "there"], nobody=[])
        self.irctl = Irctl(folder / "home", inventory, {"IRCTL_CONTENT": str(self.root)})

    def role(
        self, name: str, options: dict[str, object] | None = None, about: dict[str, object] | None = None, **steps: str
    ) -> None:
        """Add a remediation; each step is the YAML of one task, by its phase in lower case; what is not given does nothing.

        `about` is put into its meta/remediation.yml.
        """
        folder = self.root / "roles" / name
        for part in ("tasks", "meta"):
            (folder / part).mkdir(parents=True)
        nothing = "ansible.builtin.set_fact: {nothing: done}\nchanged_when: true"
        tasks = [self._task(phase, steps.get(phase.lower(), nothing)) for phase in PHASES]
        tasks.append({"name": "Report | Done", "irctl.runbooks.report": {"change": "__done_change"}, "run_once": True})
        (folder / "tasks" / "main.yml").write_text(yaml.safe_dump(tasks, sort_keys=False))
        plain = {"kind": "remediation", "service": "anything", "severity": "low", "impact": "none", "reversible": True}
        plain |= {"summary": name, "parameters": options or {}}
        (folder / "meta" / "remediation.yml").write_text(yaml.safe_dump({**plain, **(about or {})}))
        play = {"name": name, "hosts": "{{ irctl_target }}", "gather_facts": False, "roles": [f"acme.fixes.{name}"]}
        (self.root / "playbooks").mkdir(exist_ok=True)
        (self.root / "playbooks" / f"{name}.yml").write_text(yaml.safe_dump([play]))

    def _task(self, phase: str, text: str) -> dict[str, object]:
        task: dict[str, object] = yaml.safe_load(textwrap.dedent(text))
        return {"name": f"{phase} | A step", **task, "register": f"__done_{phase.lower()}"}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path)


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of this test's own, so that what a run leaves behind is seen."""
    folder = Path(os.path.realpath(tmp_path)) / "t"
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB; the test has to skip where it is not root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def needs_cron(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that takes `cron`."""
    systemd = "systemd is here, and its timer is what would be installed"
    marked = pytest.mark.skipif(Path("/run/systemd/system").exists(), reason=systemd)(test)
    there = os.geteuid() == 0 and Path("/usr/sbin/cron").exists()
    found: Callable[..., None] = pytest.mark.skipif(not there, reason="apt-get install cron, as root")(marked)
    return found


@pytest.fixture
def cron() -> Iterator[None]:
    """A real cron, which knows nothing of irctl, and the crontab of this user as it was. One test at a time has it."""
    with Path("/run/lock/irctl-test-cron").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = subprocess.run(["crontab", "-l"], capture_output=True, text=True)
        process = subprocess.Popen(["cron", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield
        process.terminate()
        process.wait()
        restore = ["crontab", "-"] if before.returncode == 0 else ["crontab", "-r"]
        subprocess.run(restore, input=before.stdout, text=True, check=False, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real S3 store, one for all workers; each test has buckets of its own there."""
    with shared(place(tmp_path_factory, "seaweed"), seaweedfs.start, seaweedfs.stop) as url:
        yield url
