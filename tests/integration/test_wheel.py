"""The wheel, installed in a clean environment far from the checkout: everything is inside and works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from irctl import __version__
from irctl.lab.postgres import Postgres
from tests.conftest import ROOT, Done, Sessions, host_of, write_inventory

PART = "ansible_collections/irctl/runbooks/"
WHERE = """
from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.content import OURS
print(OURS.root, values.__file__)
"""


@dataclass(frozen=True)
class Installed:
    """A wheel and the environment that it is installed in."""

    wheel: Path
    environment: Path

    def __call__(self, program: str, *words: str, home: Path) -> Done:
        """Run one of the environment's programs in an empty folder, with nothing of this process's surroundings."""
        done = subprocess.run(
            [str(self.environment / "bin" / program), *words],
            env={"PATH": f"{self.environment / 'bin'}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"},
            cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    # pip's own settings name its index and its cache; nothing that leads back to the checkout stays.
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    build = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]  # the wheel from the sdist, so both are whole
    subprocess.run(build, env=settings, check=True, stdout=subprocess.PIPE, timeout=300)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], env=settings, check=True)
    install = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, env=settings, cwd=folder, check=True, timeout=300)
    return Installed(wheel, folder / "venv")


@pytest.fixture
def inventory(server: Postgres, tmp_path: Path) -> Path:
    return write_inventory(tmp_path, {"lab": host_of(server)})


def test_the_wheel_holds_all_content_and_nothing_else(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"irctl", "ansible_collections", f"irctl-{__version__}.dist-info"}
    content = {name.removeprefix(PART).split("/")[0] for name in names if name.startswith(PART)}
    assert content == {"galaxy.yml", "inventories", "meta", "playbooks", "plugins", "roles"}
    tracked = subprocess.run(["git", "ls-files", "irctl", *sorted(content)], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {name if name.startswith("irctl/") else PART + name for name in tracked.stdout.split()}
    assert wanted - set(names) == set()
    assert not [name for name in names if "__pycache__" in name or ".venv" in name or "/tests/" in name]


def test_an_installed_irctl_says_its_version_and_lists_its_remediations(installed: Installed, tmp_path: Path) -> None:
    assert installed("irctl", "--version", home=tmp_path).out == f"irctl {__version__}\n"
    assert "db-connections" in installed("irctl", "catalog", home=tmp_path).out


def test_what_is_imported_and_run_is_what_was_installed(installed: Installed, tmp_path: Path) -> None:
    root, values = installed("python", "-c", WHERE, home=tmp_path).out.split()
    assert Path(root).is_relative_to(installed.environment)
    assert Path(values).is_relative_to(root)


def test_an_editable_install_leads_to_the_checkout_and_to_no_copy(tmp_path: Path) -> None:
    found = subprocess.run([sys.executable, "-c", WHERE], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [Path(path).is_relative_to(ROOT) for path in found.stdout.split()] == [True, True]


def test_an_installed_irctl_ends_an_idle_session(installed: Installed, sessions: Sessions, inventory: Path, tmp_path: Path) -> None:
    idle = sessions.open(2, application="wheel")
    sessions.grow_old()
    words = ["remediate", "db-connections", "--host", "lab", "--inventory", str(inventory), "--application", "wheel", "--json"]
    done = installed("irctl", *words, home=tmp_path)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.err
    assert sessions.alive(idle) == 0
    assert Path(done.json["folder"]).is_relative_to(tmp_path)
    verified = installed("irctl", "evidence", "verify", done.json["run"], home=tmp_path)
    assert (verified.code, "is as it was sealed" in verified.out) == (0, True)


def test_plain_ansible_ends_an_idle_session_without_irctl(
    installed: Installed, sessions: Sessions, inventory: Path, tmp_path: Path
) -> None:
    idle = sessions.open(2)
    sessions.grow_old()
    words = ["irctl.runbooks.db_connections", "-i", str(inventory), "-e", "irctl_target=lab"]
    checked = installed("ansible-playbook", *words, "--check", home=tmp_path)
    assert checked.code == 0, checked.out + checked.err
    assert sessions.alive(idle) == 2
    done = installed("ansible-playbook", *words, home=tmp_path)
    assert done.code == 0, done.out + done.err
    assert sessions.alive(idle) == 0
    assert list(tmp_path.glob("irctl-evidence/*/lab/sessions-before.json"))
