# GNU General Public License v3.0 or later (see LICENSE)
"""Reach a host and its services as a run would. Runs on the controller; the work is in the action of this name."""

from __future__ import annotations

DOCUMENTATION = """
module: host_checks
short_description: Reach a host and its services as a run would
description:
  - Logs in, looks for Python, and becomes the user that the inventory names; then M(irctl.runbooks.host_services), here or shipped
    there. A host that does not answer is a finding, not a failure. Changes nothing.
options: {}
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Gather | What answers
  irctl.runbooks.host_checks: {}
"""
RETURN = """
findings:
  description: What was reached or not, each with its level, what it says, and the command that mends it.
  returned: always
  type: list
  elements: dict
"""
