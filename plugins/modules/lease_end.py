# GNU General Public License v3.0 or later (see LICENSE)
"""Arm the end of a lease on the host that it is on. Runs on the controller; the work is in the action of this name."""

from __future__ import annotations

DOCUMENTATION = """
module: lease_end
short_description: Arm the end of a lease on the host that it is on
description:
  - Renders the module that undoes the change, with what the run captured, as Ansible would ship it. The host keeps that, with
    M(irctl.runbooks.host_lease), and a timer of systemd starts it there when the lease is over, as the user that the role is
    carried out as, and tries it again until it succeeds.
  - Where the host is the controller itself, has no systemd, or nobody may become root there, it says so and arms nothing, for
    the controller's own timer ends the lease too. Where it cannot arm although these are there, it fails.
  - Keeps C(lease.json) on the controller, which says where the end is armed.
options:
  state:
    description: What is to become of the end there. All but V(armed) are of the run that C(run_revert_root) names.
    type: str
    choices: [armed, extended, absent, listed]
    default: armed
  module:
    description: The module that undoes the change; by its last word where it is of the role's own collection.
    type: str
  near:
    description:
      - What ends it beside the controller. V(host) is a timer on the host, V(kernel) is what lets go by itself, such as an entry of
        an nftables set that has a time.
      - With V(kernel), C(irctl leases extend) runs the module with V(state=extended), the record of the run, and in C(run_lease)
        the seconds from now. Where the module takes no such state, the lease cannot be extended, and it says so.
    type: str
    choices: [host, kernel, controller]
    default: host
  alone:
    description: Whether to refuse where the same change is on the host already.
    type: bool
    default: true
  left:
    description: How many seconds from now it is to end, for V(state=extended).
    type: int
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Capture | Its end is armed on the host too
  irctl.runbooks.lease_end:
    module: pg_writes
  when: run_lease | default(0) | int > 0
"""
RETURN = """
left:
  description: How many seconds from now it ends there; negative where that is past, none where it is not armed there.
  returned: when listed
  type: float
"""
