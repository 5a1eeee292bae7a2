"""The ecosystem's own gates: what Galaxy's importer and ansible-test say of the collection as it is built."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT

CONTENT = {"inventories", "meta", "playbooks", "plugins", "roles"}
TOP = CONTENT | {".ansible-lint", "CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "tests"}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CACHE = Path.home() / ".ansible" / "test"  # ansible-test's own: an environment for each of its tests, by what is in it
GET_PIP = """
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-{version}-py3-none-any.whl"))
sys.argv[1:] = ["install", *(word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel"))]
from pip._internal.cli.main import main

sys.exit(main())
"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The collection as a file, for Galaxy."""
    folder = tmp_path / "built"
    folder.mkdir()
    _run("ansible-galaxy", "collection", "build", "--output-path", str(folder), str(ROOT), cwd=folder)
    return next(folder.glob("irctl-runbooks-*.tar.gz"))


@pytest.fixture
def unpacked(built: Path, tmp_path: Path) -> Path:
    """The built collection, where ansible-test wants it."""
    folder = tmp_path / "ansible_collections" / "irctl" / "runbooks"
    folder.mkdir(parents=True)
    _run("tar", "-xzf", str(built), cwd=folder)
    return folder


def _run(*words: str, cwd: Path, code: int = 0, **environment: str) -> str:
    """What a program prints, on both ways out; the test fails with it where the program ends otherwise than with `code`."""
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def _pythons() -> list[str]:
    """The versions that Ansible knows and that start here; pyenv has stand-ins for others."""
    from ansible_test._util.target.common.constants import CONTROLLER_PYTHON_VERSIONS

    there = [version for version in CONTROLLER_PYTHON_VERSIONS if shutil.which(f"python{version}")]
    return [version for version in there if subprocess.run([f"python{version}", "-c", ""], capture_output=True).returncode == 0]


@contextmanager
def _sanity_cache() -> Iterator[None]:
    """ansible-test's cache, for one run at a time, with its pip in it, which it would fetch from a site of its own."""
    from ansible_test._internal.python_requirements import get_venv_packages

    version = get_venv_packages(SimpleNamespace(version=PYTHON))["pip"]
    folder = CACHE / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    with (CACHE / "irctl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bootstrap = folder / f"get_pip_{version.replace('.', '_')}.py"
        if not bootstrap.exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            _run(*pip, "--dest", str(folder), f"pip=={version}", cwd=folder)
            bootstrap.write_text(GET_PIP.format(version=version))
        yield


def test_the_built_collection_holds_what_ansible_reads_and_nothing_else(built: Path) -> None:
    with tarfile.open(built) as archive:
        names = {name for name in archive.getnames() if not archive.getmember(name).isdir()}
    assert {name.partition("/")[0] for name in names} == TOP
    assert {name for name in names if name.startswith("tests/") and not name.startswith("tests/sanity/")} == {"tests/config.yml"}
    tracked = subprocess.run(["git", "ls-files", *CONTENT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in names if name.partition("/")[0] in CONTENT} == set(tracked.stdout.split())


def test_galaxy_takes_the_built_collection_without_a_warning(built: Path, tmp_path: Path) -> None:
    settings = tmp_path / "galaxy-importer.cfg"
    # `make lint` runs the same ansible-lint over the same files, in the same profile, and has no time limit of the importer's own.
    settings.write_text(f"[galaxy-importer]\nansible_local_tmp = {tmp_path / 'tmp'}\nrun_ansible_lint = false\n")
    said = _run(sys.executable, "-m", "galaxy_importer.main", str(built), cwd=tmp_path, GALAXY_IMPORTER_CONFIG=str(settings))
    complaints = [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    assert [line for line in complaints if "Ignore files skip ansible-test sanity tests" not in line] == []
    contents = json.loads((tmp_path / "importer_result.json").read_text())["docs_blob"]["contents"]
    documented = {
        one["content_name"]
        for one in contents
        if one["content_type"] == "module" and one["doc_strings"]["doc"]["short_description"]
    }
    assert documented == {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}


def test_every_sanity_test_of_ansible_passes_on_the_built_collection(unpacked: Path) -> None:
    listed = _run("ansible-test", "sanity", "--list-tests", "--python", PYTHON, cwd=unpacked).splitlines()
    # Modules are compiled and imported by each Python that is on this machine; everything else is done by this one.
    pythons = [word for version in _pythons() for word in ("--target-python", version)]
    with _sanity_cache():
        said = _run("ansible-test", "sanity", "--color", "no", "--controller", f"origin:python={PYTHON}", *pythons, cwd=unpacked)
    begun = {line.split('"')[1] for line in said.splitlines() if line.startswith("Running sanity test")}
    assert begun == {line for line in listed if " " not in line}  # but for warnings
    assert "Skipping" not in said
