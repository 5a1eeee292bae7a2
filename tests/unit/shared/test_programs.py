"""Programs of the host, and why one did not end well."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure


def test_a_program_that_is_not_there_or_fails_or_takes_too_long_is_one_sentence() -> None:
    with pytest.raises(Failure, match=r"^The host has no program nosuchprogram\.$"):
        programs.output(["nosuchprogram"])
    with pytest.raises(Failure, match=r"^sleep did not end in 0 s\.$"):
        programs.output(["sleep", "5"], seconds=0.1)
    with pytest.raises(Failure, match=r"^sh says: nginx: \[emerg\] no\?$"):
        programs.output(["sh", "-c", "echo first >&2; printf 'nginx: [emerg] no\\033\\n' >&2; exit 1"])
