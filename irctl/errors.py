"""Everything that ends a command early, with its exit code and outcome. The codes are a contract: docs/exit-codes.md."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.irctl.runbooks.plugins.module_utils.values import escaped

DONE, FAILED, INVALID, PARTIAL, UNREACHABLE, REFUSED, BUSY, INDETERMINATE, EVIDENCE = range(9)

EXIT_CODES = {
    "changed": DONE,
    "unchanged": DONE,
    "failed": FAILED,
    "invalid": INVALID,
    "partial": PARTIAL,
    "unreachable": UNREACHABLE,
    "refused": REFUSED,
    "busy": BUSY,
    "indeterminate": INDETERMINATE,
}


WORST = (EVIDENCE, INDETERMINATE, FAILED, PARTIAL, INVALID, REFUSED, UNREACHABLE, BUSY, DONE)


def worst(codes: Iterable[int]) -> int:
    """The one exit code for several things done in one command: that of the one which most needs a look."""
    return min(codes, key=WORST.index)


class IrctlError(Exception):
    """Ends a command with one line on standard error. `outcome` is a word of the envelope, `exit_code` its number."""

    outcome = "failed"
    exit_code = FAILED


class Invalid(IrctlError):
    """What was typed or configured cannot be used; nothing was touched."""

    outcome, exit_code = "invalid", INVALID


class NoTarget(IrctlError):
    """What was named is not in the inventory."""

    outcome, exit_code = "unreachable", UNREACHABLE


class Refused(IrctlError):
    """A guard said no; nothing was touched."""

    outcome, exit_code = "refused", REFUSED


class Busy(IrctlError):
    """Another run holds the target."""

    outcome, exit_code = "busy", BUSY


class EvidenceError(IrctlError):
    """Evidence could not be kept, or does not verify."""

    outcome, exit_code = "failed", EVIDENCE


def invalid(option: str, why: str, got: object) -> Invalid:
    """Word a refusal of one value: the option, the reason, the value without passwords, escaped and cut at 80 characters."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.capture import masks

    shown = escaped(masks.by_rule(str(got)), 4000)
    return Invalid(f"{option}: {why} (got '{shown if len(shown) <= 80 else shown[:79] + '~'}')")
