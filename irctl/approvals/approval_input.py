"""What the caller of a run shows for approval. Every order has one; what it means is looked at where it is needed (gate.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irctl.approvals.kept import Record
    from irctl.approvals.request import Request


@dataclass(frozen=True)
class ApprovalInput:
    """A request, approvals of it in files, or a reason to break the glass."""

    request: Request | None = None
    records: tuple[Record, ...] = ()
    break_glass: str = ""


NOTHING_SHOWN = ApprovalInput()
