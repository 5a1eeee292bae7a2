# GNU General Public License v3.0 or later (see LICENSE)
"""Publish what was found, changed and proved on each host. Runs on the controller; the work is in the action of this name."""

from __future__ import annotations

DOCUMENTATION = """
module: report
short_description: Publish what was found, changed and proved on each host
description:
  - The Report phase of every remediation. Its arguments are the names of the variables that the other phases registered.
  - Meant for C(run_once), because it speaks for every host that got so far without a failure.
  - Of each result it takes C(msg), C(changed), C(summary), C(in_short), C(kept) and C(findings), where they are.
  - Publishes C(irctl_report), keyed by host, as C(set_stats) would.
options:
  before:
    description: The name of what Gather registered.
    type: str
  change:
    description: The name of what Change registered. Its C(changed) and C(msg) are the host's.
    type: str
  after:
    description: The name of what Verify registered.
    type: str
  evidence:
    description: The name of what Capture registered.
    type: str
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Report | What changed
  irctl.runbooks.report:
    before: __example_before
    change: __example_change
    after: __example_after
  run_once: true
"""
RETURN = """
"""
