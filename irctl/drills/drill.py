"""Hold a drill: hypothesis, fault, detection, the same remediation as in earnest, verification, restoration, and a verdict."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from irctl import errors
from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.catalog.content import Content
from irctl.catalog.definition import Option
from irctl.drills import history, restore
from irctl.drills.history import FIXED, NOT_FIXED, NOTHING, UNKNOWN, Drill
from irctl.drills.steps import HEALTH, Course, Interrupted, Judgement, Show, Wish, answers, reasons
from irctl.errors import IrctlError, Refused
from irctl.incidents import incidents
from irctl.leases import leases, stops
from irctl.orders.flow import Outcome
from irctl.orders.undo import GOOD
from irctl.record import locks, runs

PAUSES = (1.0, 10.0)  # seconds between two looks: at least, at most


@dataclass(frozen=True)
class Held:
    """What became of a drill. `lacks` says why it could not be held on these hosts at all."""

    drill: Drill
    exit_code: int
    interrupted: str = ""
    lacks: str = ""


class Lacking(Refused):
    """The inventory does not say what a drill of this remediation needs to know."""


def obstacle(name: str, contents: list[Content]) -> str:
    """Why a remediation cannot be drilled from here at all; '' where it can. Raises Invalid for an unknown name."""
    has = catalog.entry_points(name, contents)
    if lacking := [point for point in history.NEEDED if point not in has]:
        return f"it has no entry point {lacking[0]}"
    about = catalog.load(name, contents).about
    if about.get("lease", {}).get("required"):
        return "it may only be on for a time, and a drill takes no lease"
    if missing := [module for module in about.get("needs", {}).get("python", []) if importlib.util.find_spec(module) is None]:
        return f"the Python module {missing[0]} is not installed; irctl doctor says how"
    return ""


def wish(name: str, contents: list[Content], names: tuple[str, ...], **more: Any) -> Wish:
    """The drill of a remediation as its metadata has it. Raises Refused where it cannot be held, Invalid for an unknown name."""
    if why := obstacle(name, contents):
        raise Refused(f"{name} cannot be drilled: {why}")
    about = catalog.load(name, contents).about.get("drill") or {}
    return Wish(name, names, about.get("proof", HEALTH), about.get("parameters") or {}, **more)


def hold(wanted: Wish, settings: Settings, show: Show) -> Held:
    """Hold a drill. Raises IrctlError where it was not even begun, and then nothing was run."""
    stops.require_none(settings.home_path)
    runs.require_room(settings.home_path)
    drilling = _Drilling(Course(wanted, settings, show))
    with drilling.course.kept_alive():
        return drilling.hold()


def require_all_said(name: str, options: Iterable[Option], settled: Mapping[str, Any]) -> None:
    """Raises Lacking for the first setting that is needed on a host and given by nobody."""
    for host, settings in settled.items():
        for option in options:
            if option.required and settings.get(option.variable) in (None, "", []):
                raise Lacking(f"{name} cannot be drilled: the inventory does not say {option.variable} for {host}")


class _Drilling:
    """The state of one drill while it is under way."""

    def __init__(self, course: Course) -> None:
        self.course, self.judged = course, Judgement()
        self._faulted = False
        self._locks: list[int] = []

    def hold(self) -> Held:
        course, judged = self.course, self.judged
        try:
            self._practise_or_say_why()
            left = restore.put_back(course, judged) if self._faulted else ""
            held = restore.close(course, judged, left)
            interrupted = judged.interrupted or course.signal
            return Held(held, errors.INDETERMINATE if interrupted else judged.code, interrupted, judged.lacks)
        finally:
            locks.release(self._locks)

    def _practise_or_say_why(self) -> None:
        try:
            self._practise()
        except (IrctlError, OSError) as error:
            if not self.course.incident:
                raise
            self.judged.interrupted = str(error) if isinstance(error, Interrupted) else ""
            self.judged.be(UNKNOWN, str(error), error.exit_code if isinstance(error, IrctlError) else errors.FAILED)

    def _begin(self, settled: Mapping[str, Any]) -> str:
        """Open the incident that all is recorded under, once the hosts are known and free. Raises IrctlError."""
        course, wanted, settings, hosts = self.course, self.course.wish, self.course.settings, list(settled)
        require_all_said(
            wanted.remediation, catalog.load(wanted.remediation, course.contents, entry_point="verify").options, settled
        )
        self._locks = locks.hold_targets(course.home, f"{course.service}-drill", {*hosts, *wanted.names}, "another drill")
        about = {"remediation": wanted.remediation, "names": wanted.names, "hosts": hosts, "scheduled": wanted.scheduled}
        terms = {"proof": wanted.proof, "parameters": dict(wanted.parameters), "timeout": wanted.timeout}
        where = {"inventory": str(settings.inventory_path()), "content": settings.content.value}
        title, profile = f"Drill: {wanted.remediation} on {', '.join(wanted.names)}", settings.severity_profile.value
        course.incident = incidents.open_drill(course.home, settings.operator, title, about | terms | where, profile=profile)
        self._locks.append(history.begin(course.home, course.incident))
        course.hosts = tuple(hosts)
        course.tell("hosts", hosts)
        return course.incident

    def _practise(self) -> None:
        """From the hypothesis to the verdict. Raises IrctlError."""
        course, judged = self.course, self.judged
        if not self._as_hoped(course.look("before", begin=self._begin)):
            return
        leases.require_no_other(course.home, course.wish.remediation, course.hosts)
        self._faulted = True
        fault = course.step("fault", "fault")
        ended = time.monotonic()
        if fault.outcome not in GOOD:
            judged.be(UNKNOWN, f"the fault could not be made: {reasons(fault)}", fault.exit_code)
        elif self._detected(ended):
            mend = course.step("mend", "main")
            proof = course.look("verify")
            self._judge(mend, proof, round(time.monotonic() - ended, 3))

    def _as_hoped(self, before: Outcome) -> bool:
        """Whether things are as they have to be before a fault is made."""
        seen, healthy, judged = answers(before), self.course.wish.proof == HEALTH, self.judged
        if seen == {healthy}:
            return True
        if None in seen:
            judged.be(UNKNOWN, f"it cannot be said how things are: {reasons(before)}", before.exit_code)
            judged.lacks = judged.why if {host.outcome for host in before.hosts.values()} <= {"refused", "failed"} else ""
        else:
            said = f"the trouble is there already, so no fault was made: {reasons(before)}"
            judged.be(UNKNOWN, said if healthy else "the measure is on already, so no fault was made")
        return False

    def _detected(self, ended: float) -> bool:
        """Look until the trouble shows on every host, or the time for it is over. Raises IrctlError."""
        most = self.course.wish.detect_within
        while True:
            found = self.course.look("detect")
            seen, passed = answers(found), time.monotonic() - ended
            if seen == {False}:
                self.judged.detect = round(passed, 3)
                return True
            if passed >= most:
                break
            self.course.pause(min(max(PAUSES[0], passed / 4), PAUSES[1], most - passed))
        if None in seen:
            self.judged.be(UNKNOWN, f"it cannot be said whether the fault shows: {reasons(found)}", found.exit_code)
        else:
            self.judged.be(NOTHING, f"the fault did not show within {most} s")
        return False

    def _judge(self, mend: Outcome, proof: Outcome, passed: float) -> None:
        seen, judged = answers(proof), self.judged
        if False in seen:
            judged.be(NOT_FIXED, reasons(mend if mend.outcome not in GOOD else proof))
        elif None in seen:
            judged.be(UNKNOWN, f"it cannot be said whether it is mended: {reasons(proof)}", proof.exit_code)
        elif mend.outcome not in GOOD:
            judged.be(NOT_FIXED, f"the remediation did not end well: {reasons(mend)}")
        elif mend.outcome == "unchanged":
            judged.be(UNKNOWN, "the trouble went away by itself: the remediation changed nothing")
        else:
            judged.mitigate = passed
            judged.be(FIXED)
