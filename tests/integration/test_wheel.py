"""The wheel, installed in a clean environment far from the checkout: everything is inside and works, for root and for others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from irctl import __version__
from irctl.lab.postgres import Postgres
from tests.conftest import ROOT, Done, Sessions, host_of, needs_root, write_inventory

PART = "ansible_collections/irctl/runbooks/"
WHERE = """
from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.content import OURS
print(OURS.root, values.__file__)
"""
ANOTHER: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}


@dataclass(frozen=True)
class Home:
    """A user's folder, and how subprocess becomes that user; an empty owner is who runs the tests."""

    path: Path
    owner: dict[str, Any]

    def hand_over(self) -> None:
        """Give all that lies in it to its owner."""
        if self.owner:
            subprocess.run(["chown", "-R", "nobody:nogroup", self.path], check=True)


@dataclass(frozen=True)
class Installed:
    """A wheel and the environment that it is installed in."""

    wheel: Path
    environment: Path

    def __call__(self, program: str, *words: str, home: Home) -> Done:
        """Run one of the environment's programs in a home, with nothing of this process's surroundings."""
        done = subprocess.run(
            [str(self.environment / "bin" / program), *words],
            env={"PATH": f"{self.environment / 'bin'}:/usr/bin:/bin", "HOME": str(home.path), "LANG": "C.UTF-8"},
            cwd=home.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **home.owner,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are for root alone."""
    folder = Path(tempfile.mkdtemp(prefix="irctl-wheel-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installed(folder: Path) -> Installed:
    # pip's own settings name its index and its cache; nothing that leads back to the checkout stays.
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    build = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]  # the wheel from the sdist, so both are whole
    subprocess.run(build, env=settings, check=True, stdout=subprocess.PIPE, timeout=300)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([_python(), "-m", "venv", str(folder / "venv")], env=settings, check=True)
    install = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, env=settings, cwd=folder, check=True, timeout=300)
    return Installed(wheel, folder / "venv")


def _python() -> str:
    """A Python that every user can start, where there is one; root's own may lie in root's home."""
    recent = ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]
    paths = [path for path in ("/usr/bin/python3", sys.executable) if Path(path).exists()]
    return next(path for path in paths if subprocess.run([path, *recent], capture_output=True).returncode == 0)


@pytest.fixture
def home(folder: Path) -> Home:
    """Of who runs the tests."""
    return _home(folder)


@pytest.fixture(params=["who runs the tests", pytest.param("a normal user", marks=needs_root)])
def anybody(request: pytest.FixtureRequest, folder: Path) -> Home:
    return _home(folder, **(ANOTHER if request.param == "a normal user" else {}))


def _home(folder: Path, **owner: Any) -> Home:
    home = Home(Path(tempfile.mkdtemp(prefix="home-", dir=folder)), owner)
    home.hand_over()
    return home


def _inventory(server: Postgres, home: Home) -> str:
    """An inventory of the user's own, which leads to the server with a password file of the user's own."""
    passfile = shutil.copy(server.passfile, home.path)
    inventory = write_inventory(home.path, {"lab": host_of(server, postgres_passfile=str(passfile))})
    home.hand_over()
    return str(inventory)


def test_the_wheel_holds_all_content_and_nothing_else(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    version = f"irctl-{__version__}"
    assert folders == {"irctl", "ansible_collections", f"{version}.dist-info", f"{version}.data"}
    manual = {f"{version}.data/data/share/man/man1/{path.name}" for path in (ROOT / "man").iterdir()}
    assert {name for name in names if name.startswith(f"{version}.data/")} == manual
    docs = {f"irctl/docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*.md")}
    assert {name for name in names if name.startswith("irctl/docs/")} == docs
    content = {name.removeprefix(PART).split("/")[0] for name in names if name.startswith(PART)}
    assert content == {"galaxy.yml", "inventories", "meta", "playbooks", "plugins", "roles"}
    tracked = subprocess.run(["git", "ls-files", "irctl", *sorted(content)], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {name if name.startswith("irctl/") else PART + name for name in tracked.stdout.split()}
    assert wanted - set(names) == {"irctl/docs"}, "the link to docs/, in whose place its pages are"
    foreign = [name for name in names if "__pycache__" in name or ".venv" in name or "/tests/" in name]
    assert [name for name in foreign if "/content/template/" not in name] == [], "a new remediation has tests, and nothing else"


def test_an_installed_irctl_says_its_version_and_lists_its_remediations(installed: Installed, anybody: Home) -> None:
    assert installed("irctl", "--version", home=anybody).out == f"irctl {__version__}\n"
    assert "db-connections" in installed("irctl", "catalog", home=anybody).out


def test_an_installed_irctl_has_its_pages_and_its_manual_and_begins_remediations(installed: Installed, anybody: Home) -> None:
    assert installed("irctl", "help", "approvals", home=anybody).out.startswith("# Approvals")
    assert (installed.environment / "share" / "man" / "man1" / "irctl-doctor.1").is_file()
    begun = installed("irctl", "content", "new", "clear-lock", "--dir", "acme", "--collection", "acme.books", home=anybody)
    assert begun.code == 0, begun
    assert installed("irctl", "content", "check", "acme", home=anybody).out == "acme.books: every rule is kept\n"
    assert installed("irctl", "init", home=anybody).code == 0


def test_what_is_imported_and_run_is_what_was_installed(installed: Installed, home: Home) -> None:
    root, values = installed("python", "-c", WHERE, home=home).out.split()
    assert Path(root).is_relative_to(installed.environment)
    assert Path(values).is_relative_to(root)


def test_an_editable_install_leads_to_the_checkout_and_to_no_copy(tmp_path: Path) -> None:
    found = subprocess.run([sys.executable, "-c", WHERE], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [Path(path).is_relative_to(ROOT) for path in found.stdout.split()] == [True, True]


def test_an_installed_irctl_ends_an_idle_session(installed: Installed, sessions: Sessions, server: Postgres, anybody: Home) -> None:
    idle = sessions.open(2, application="wheel")
    sessions.grow_old()
    reach = ["--host", "lab", "--inventory", _inventory(server, anybody)]
    done = installed("irctl", "remediate", "db-connections", *reach, "--application", "wheel", "--json", home=anybody)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.err
    assert sessions.alive(idle) == 0
    assert Path(done.json["folder"]).is_relative_to(anybody.path)
    verified = installed("irctl", "evidence", "verify", done.json["run"], home=anybody)
    assert (verified.code, "is as it was sealed" in verified.out) == (0, True)


def test_an_installed_irctl_packs_an_incident_and_draws_its_drills(installed: Installed, anybody: Home) -> None:
    opened = installed("irctl", "incident", "open", "--title", "Sessions run out", "--severity", "P1", "--json", home=anybody)
    incident = opened.json["incident"]
    installed("irctl", "incident", "close", incident, "--resolution", "Rolled back", home=anybody)
    pack = Path(installed("irctl", "incident", "pack", incident, "--json", home=anybody).json["folder"])
    assert {path.name for path in pack.glob("*.md")} == {path.stem for path in ROOT.glob("irctl/incidents/templates/*.md.j2")}
    proof = [_python(), "verify.py", "."]
    verified = subprocess.run(proof, cwd=pack, capture_output=True, text=True, **anybody.owner)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    drawn = installed("irctl", "drill", "report", "--html", "drills.html", home=anybody)
    assert (drawn.code, "</html>" in (anybody.path / "drills.html").read_text()) == (0, True), drawn.err


def test_plain_ansible_ends_an_idle_session_without_irctl(
    installed: Installed, sessions: Sessions, server: Postgres, home: Home
) -> None:
    idle = sessions.open(2)
    sessions.grow_old()
    words = ["irctl.runbooks.db_connections", "-i", _inventory(server, home), "-e", "irctl_target=lab"]
    checked = installed("ansible-playbook", *words, "--check", home=home)
    assert checked.code == 0, checked.out + checked.err
    assert sessions.alive(idle) == 2
    done = installed("ansible-playbook", *words, home=home)
    assert done.code == 0, done.out + done.err
    assert sessions.alive(idle) == 0
    assert list(home.path.glob("irctl-evidence/*/lab/sessions-before.json"))
