# GNU General Public License v3.0 or later (see LICENSE)
"""How every module that changes nginx is told to test and reload it."""

from __future__ import annotations


class ModuleDocFragment:
    """The commands."""

    DOCUMENTATION = """
options:
  nginx_test:
    description: The command that tests the configuration.
    type: list
    elements: str
    default: [nginx, -t]
  nginx_reload:
    description: The command that reloads the configuration.
    type: list
    elements: str
    default: [nginx, -s, reload]
"""
