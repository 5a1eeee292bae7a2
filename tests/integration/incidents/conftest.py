"""The incident that the tests of packs work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Irctl
from tests.integration.incidents.packs import Case, make_case


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case as it is made once; tests that change it work on a copy."""
    return make_case(tmp_path_factory.mktemp("case"))


@pytest.fixture
def case(made: Case, tmp_path: Path) -> Case:
    """A case of this test's own, not packed yet."""
    home = tmp_path / "home"
    shutil.copytree(made.home, home)
    irctl = Irctl(home, made.irctl.inventory, dict(made.irctl.environment))
    return Case(irctl, made.incident, made.key, made.allowed, made.logs)
