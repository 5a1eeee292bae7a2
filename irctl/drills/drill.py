"""Hold a drill: hypothesis, fault, detection, the same remediation as in earnest, verification, restoration, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from irctl import errors
from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.drills import history, readiness, restore
from irctl.drills.history import FIXED, HIT, NOT_FIXED, NOTHING, UNKNOWN, Drill
from irctl.drills.steps import DrillOrder, Interrupted, Judgement, Steps, answers
from irctl.errors import IrctlError
from irctl.incidents import incidents
from irctl.leases import register, stops
from irctl.orders.order import Outcome, Show
from irctl.record import locks, runs

PAUSES = (1.0, 10.0)  # seconds between two looks: at least, at most


@dataclass(frozen=True)
class DrillResult:
    """What became of a drill. `not_possible` says why it could not be held on these hosts at all."""

    drill: Drill
    exit_code: int
    interrupted: str = ""
    not_possible: str = ""


def hold(order: DrillOrder, settings: Settings, show: Show) -> DrillResult:
    """Hold a drill. Raises IrctlError where it was not even begun, and then nothing was run."""
    stops.require_none(settings.home_path)
    runs.require_room(settings.home_path)
    practice = _Practice(Steps(order, settings, show))
    with practice.steps.kept_alive():
        return practice.hold()


class _Practice:
    """One drill while it is held."""

    def __init__(self, steps: Steps) -> None:
        self.steps, self.judgement = steps, Judgement()
        self._faulted = False
        self._locks: list[int] = []

    def hold(self) -> DrillResult:
        steps, judgement = self.steps, self.judgement
        try:
            self._practise_or_note_why_not()
            not_restored = restore.put_back(steps, judgement) if self._faulted else ""
            drill = restore.close(steps, judgement, not_restored)
            interrupted = judgement.interrupted or steps.signal
            code = errors.INDETERMINATE if interrupted else judgement.exit_code
            return DrillResult(drill, code, interrupted, judgement.not_possible)
        finally:
            locks.release(self._locks)

    def _practise_or_note_why_not(self) -> None:
        """Raises IrctlError or OSError only before there is an incident to note it in."""
        try:
            self._practise()
        except (IrctlError, OSError) as error:
            if not self.steps.incident:
                raise
            self.judgement.interrupted = str(error) if isinstance(error, Interrupted) else ""
            code = error.exit_code if isinstance(error, IrctlError) else errors.FAILED
            self.judgement.set(UNKNOWN, str(error), code)

    def _practise(self) -> None:
        """From the hypothesis to the verdict. Raises IrctlError."""
        steps, judgement = self.steps, self.judgement
        if not self._as_expected(steps.verify("before", begin=self._begin)):
            return
        register.require_no_other(steps.home, steps.order.remediation, steps.hosts)
        self._faulted = True
        fault = steps.take("fault", "fault")
        since = time.monotonic()
        if not fault.succeeded:
            judgement.set(UNKNOWN, f"the fault could not be made: {fault.reasons()}", fault.exit_code)
        elif self._detected(since):
            mend = steps.take("mend", "main")
            proof = steps.verify("verify")
            seconds = round(time.monotonic() - since, 3)
            decoy = steps.take("decoy", "decoy") if "decoy" in steps.entry_points else None
            judge(judgement, mend, proof, seconds, decoy)

    def _begin(self, hosts: Mapping[str, Any]) -> str:
        """Open the incident that all is recorded under, once the hosts are known and free. Raises IrctlError."""
        steps, name = self.steps, self.steps.order.remediation
        readiness.require_settings(name, catalog.load(name, steps.contents, entry_point="verify").options, hosts)
        targets = {*hosts, *steps.order.names}
        self._locks = locks.hold_targets(steps.home, f"{steps.service}-drill", targets, "another drill")
        steps.incident = _open_incident(steps, list(hosts))
        self._locks.append(history.begin(steps.home, steps.incident))
        steps.hosts = tuple(hosts)
        steps.tell("hosts", list(hosts))
        return steps.incident

    def _as_expected(self, before: Outcome) -> bool:
        """Whether things are as they have to be before a fault is made."""
        seen, judgement = answers(before), self.judgement
        expected = self.steps.order.proved_when_well
        if seen == {expected}:
            return True
        if None in seen:
            judgement.set(UNKNOWN, f"it cannot be said how things are: {before.reasons()}", before.exit_code)
            outcomes = {host.outcome for host in before.hosts.values()}
            judgement.not_possible = judgement.why if outcomes <= {"refused", "failed"} else ""
        elif expected:
            judgement.set(UNKNOWN, f"the trouble is there already, so no fault was made: {before.reasons()}")
        else:
            judgement.set(UNKNOWN, "the measure is on already, so no fault was made")
        return False

    def _detected(self, since: float) -> bool:
        """Look until the trouble shows on every host, or the time for it is over. Raises IrctlError."""
        most = self.steps.order.detect_within
        while True:
            look = self.steps.verify("detect")
            passed = time.monotonic() - since
            if answers(look) == {False}:
                self.judgement.detect = round(passed, 3)
                return True
            if passed >= most:
                break
            self.steps.pause(min(max(PAUSES[0], passed / 4), PAUSES[1], most - passed))
        if None in answers(look):
            self.judgement.set(UNKNOWN, f"it cannot be said whether the fault shows: {look.reasons()}", look.exit_code)
        else:
            self.judgement.set(NOTHING, f"the fault did not show within {most} s")
        return False


def _open_incident(steps: Steps, hosts: list[str]) -> str:
    """The id of the incident, whose journal has all that a later restoration needs. Raises IrctlError."""
    order, settings = steps.order, steps.settings
    entry = {
        "remediation": order.remediation,
        "names": order.names,
        "hosts": hosts,
        "scheduled": order.scheduled,
        "proof": order.proof,
        "parameters": dict(order.parameters),
        "timeout": order.timeout,
        "inventory": str(settings.inventory_path()),
        "content": settings.content.value,
    }
    title, profile = f"Drill: {order.remediation} on {', '.join(order.names)}", settings.severity_profile.value
    return incidents.open_drill(steps.home, settings.operator, title, entry, profile=profile)


def judge(judgement: Judgement, mend: Outcome, proof: Outcome, seconds: float, decoy: Outcome | None = None) -> None:
    """What the remediation and the proof after it showed, this many seconds after the fault, and the look at its decoy. Pure."""
    seen, spared = answers(proof), answers(decoy) if decoy else {True}
    if decoy and False in spared:
        judgement.set(HIT, decoy.reasons())
    elif False in seen:
        judgement.set(NOT_FIXED, (proof if mend.succeeded else mend).reasons())
    elif None in seen:
        judgement.set(UNKNOWN, f"it cannot be said whether it is mended: {proof.reasons()}", proof.exit_code)
    elif not mend.succeeded:
        judgement.set(NOT_FIXED, f"the remediation did not end well: {mend.reasons()}")
    elif mend.outcome == "unchanged":
        judgement.set(UNKNOWN, "the trouble went away by itself: the remediation changed nothing")
    elif decoy and None in spared:
        judgement.set(UNKNOWN, f"it cannot be said whether the decoy was spared: {decoy.reasons()}", decoy.exit_code)
    else:
        judgement.mitigate = seconds
        judgement.set(FIXED)
