"""The phases of a role, in their order, and what of them the report publishes."""

from __future__ import annotations

PHASES = ("Gather", "Guard", "Capture", "Change", "Verify", "Report")
PHASE_OF = {"before": "Gather", "change": "Change", "after": "Verify", "evidence": "Capture"}  # which registers __ROLE_PART
REVERT_RECORD = "revert.json"  # what a role's main keeps for its tasks/revert.yml
