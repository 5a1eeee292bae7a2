"""Every role of the collection, found by looking; a rule that a new role breaks fails without a line of test for it."""

from __future__ import annotations

from irctl.catalog.content import OURS
from irctl.content.role import Role, roles
from tests.conftest import ROOT

__all__ = ["ROLES", "ROOT", "Role"]
ROLES = roles(OURS)
