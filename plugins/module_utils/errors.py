"""The ways in which work on a target can end early; caught once, where a module or action begins."""

from __future__ import annotations


class Failure(Exception):
    """The work was tried and did not succeed; the text is one sentence for a person."""


class Unreachable(Failure):
    """The service did not answer, or does no longer: nothing was tried, or nobody knows what the last thing did."""


class Undecided(Failure):
    """The work was done, and whether it has its effect cannot be judged; the text says because of what."""


class EvidenceLost(Failure):
    """What the change would destroy cannot be kept, so the change must not be made."""
