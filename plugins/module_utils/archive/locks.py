"""How Object Lock keeps an object from being deleted. Pure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Lock:
    """The retention of an object (`mode` GOVERNANCE or COMPLIANCE, `until` as UTC text, both '' for none), and its legal hold."""

    mode: str = ""
    until: str = ""
    hold: bool = False

    def covers(self, expected: Lock) -> bool:
        """Whether it keeps an object at least as well. Times are UTC text, so that they compare as they are."""
        retained = not expected.until or (
            self.until >= expected.until and (self.mode == expected.mode or self.mode == "COMPLIANCE")
        )
        return retained and (self.hold or not expected.hold)

    def in_force(self, now: float) -> bool:
        """Whether it keeps an object from being deleted at that time (seconds since 1970)."""
        return self.hold or self.until > utc(now)

    def headers(self) -> dict[str, str]:
        """The headers that lock an object as it is made."""
        headers = {"x-amz-object-lock-legal-hold": "ON"} if self.hold else {}
        if self.until:
            headers |= {"x-amz-object-lock-mode": self.mode, "x-amz-object-lock-retain-until-date": self.until}
        return headers


UNLOCKED = Lock()


def instant(text: str) -> str:
    """A time as the store writes it, as 2026-11-21T02:23:11Z; '' for what is none."""
    with suppress(ValueError):
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ""


def moment(text: str) -> float:
    """A time as the store writes it, in seconds since 1970; 0 for what is none."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    return 0.0


def http_moment(text: str) -> float:
    """A time as a header has it, in seconds since 1970; 0 for what is none."""
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(text).timestamp()
    return 0.0


def utc(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-21T02:23:11Z."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
