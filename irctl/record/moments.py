"""Points in time that a stepped clock and a reboot cannot move; hosts count in the same way."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.moments import RETRY, Moment, elapsed, may_try, now

__all__ = ["RETRY", "Moment", "elapsed", "may_try", "now"]
