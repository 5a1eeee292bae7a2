"""The steps of one drill, each of which is a run like any other under the drill's incident, and what its proof showed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from irctl import errors
from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.drills.history import FIXED, HIT, NOT_FIXED, NOTHING, UNKNOWN, WORSE
from irctl.errors import IrctlError
from irctl.orders import execution
from irctl.orders.order import SUCCEEDED, Order, Outcome, Show
from irctl.running import signals
from irctl.running.results import Step

HEALTH, MEASURE = "health", "measure"
CODES = {FIXED: errors.DONE} | dict.fromkeys((NOT_FIXED, WORSE, HIT, NOTHING, UNKNOWN), errors.FAILED)
CUT = "stopped by SIG"  # how a run begins to say that a signal ended it

Begin = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class DrillOrder:
    """One remediation to be drilled on these hosts or groups.

    With the proof `health` its verify holds while nothing is wrong; with `measure`, only while the measure is on. The fault has
    `detect_within` seconds to show, each step `timeout` seconds.
    """

    remediation: str
    names: tuple[str, ...]
    proof: str = HEALTH
    parameters: Mapping[str, Any] = field(default_factory=dict)
    detect_within: int = 60
    timeout: int = 600
    scheduled: bool = False

    @property
    def proved_when_well(self) -> bool:
        """What verify answers while nothing is wrong."""
        return self.proof == HEALTH


@dataclass
class Judgement:
    """What a drill showed so far. `exit_code` goes with it; `detect` and `mitigate` are in seconds.

    `not_possible` says why it could not be held on these hosts at all.
    """

    verdict: str = UNKNOWN
    why: str = ""
    exit_code: int = errors.INDETERMINATE
    detect: float | None = None
    mitigate: float | None = None
    interrupted: str = ""
    not_possible: str = ""

    def set(self, verdict: str, why: str = "", exit_code: int | None = None) -> None:
        self.verdict, self.why = verdict, why
        self.exit_code = CODES[verdict] if exit_code is None else exit_code

    def end_badly(self, verdict: str, why: str, exit_code: int | None = None) -> None:
        """Things are not as before, or nobody knows. Where the remediation hit the wrong thing, that stays the verdict."""
        if self.verdict == HIT:
            self.why = f"{self.why}; {why}"
        else:
            self.set(verdict, why, exit_code)


class Interrupted(IrctlError):
    """Somebody wants the drill to end."""

    outcome, exit_code = "indeterminate", errors.INDETERMINATE


class Steps:
    """Carries out the steps of one drill and keeps account of them."""

    def __init__(self, order: DrillOrder, settings: Settings, show: Show) -> None:
        self.order, self.settings, self._show = order, settings, show
        self.home, self.contents = settings.home_path, settings.contents
        self.entry_points = catalog.entry_points(order.remediation, self.contents)
        self.service = catalog.load(order.remediation, self.contents).about["service"]
        self.incident, self.hosts = "", order.names
        self.taken: list[dict[str, Any]] = []  # step, run, outcome and seconds of each
        self.since = time.monotonic()
        self.signal = ""
        self._woken = threading.Event()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """A signal ends the run that is under way, as ever; between runs it is noted. None ends this process."""

        def note(number: int, frame: object) -> None:
            self.signal = f"stopped by {signal.Signals(number).name}"
            self._woken.set()

        before = {number: signal.signal(number, note) for number in signals.heeded()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def forget_signal(self) -> None:
        self.signal = ""
        self._woken.clear()

    def pause(self, seconds: float) -> None:
        """Raises Interrupted as soon as a signal comes."""
        self._woken.wait(seconds)
        if self.signal:
            raise Interrupted(self.signal)

    def verify(self, name: str, *, urgent: bool = False, begin: Begin | None = None) -> Outcome:
        """A step that looks whether the proof of the remediation holds now. Raises IrctlError."""
        return self.take(name, "verify", urgent=urgent, begin=begin)

    def take(self, name: str, entry_point: str, *, urgent: bool = False, begin: Begin | None = None) -> Outcome:
        """Run one entry point with those of the drill's parameters that it knows. Raises IrctlError."""
        remediation = catalog.load(self.order.remediation, self.contents, entry_point=entry_point)
        known = {option.variable for option in remediation.options}
        given = {variable: value for variable, value in self.order.parameters.items() if variable in known}
        terms = self.terms(urgent=urgent)
        order = Order(remediation, self.hosts, given, entry_point=entry_point, only_hosts=begin is None, begin=begin, **terms)
        return self.carry_out(name, order)

    def terms(self, *, urgent: bool) -> dict[str, Any]:
        """What all orders of the drill have in common. What is urgent goes on where everything else is stopped."""
        return {"incident": self.incident, "timeout": self.order.timeout, "drill": True, "urgent": urgent}

    def carry_out(self, name: str, order: Order) -> Outcome:
        """One step. Raises Interrupted once it is over where a signal came meanwhile, IrctlError."""
        if self.signal:
            raise Interrupted(self.signal)
        self.tell("step", Step(name.capitalize()))
        try:
            result = execution.carry_out(order, self.settings, self._pass_on)
        except IrctlError as error:
            raise Interrupted(str(error)) if str(error).startswith(CUT) else error from None
        self.taken.append({"step": name, "run": result.run, "outcome": result.outcome, "seconds": result.seconds})
        answered = result.succeeded or (order.entry_point == "verify" and answers(result) == {False})
        status = "ok" if answered else "failed"
        self.tell("drill", Step(name.capitalize(), "", True, result.seconds, status, result.reasons()))
        if cut := self.signal or (result.interrupted if result.interrupted.startswith(CUT) else ""):
            raise Interrupted(cut)
        return result

    def _pass_on(self, what: str, details: Any) -> None:
        if what == "message":
            self.tell(what, details)

    def tell(self, what: str, details: Any) -> None:
        with suppress(OSError):  # nobody reads on; that must not decide about the drill
            self._show(what, details)


def answers(result: Outcome) -> set[bool | None]:
    """What a verify says of its hosts: it holds, it does not, or nobody knows (None)."""
    return {_answer(host.outcome, host.phase) for host in result.hosts.values()}


def _answer(outcome: str, phase: str) -> bool | None:
    if outcome in SUCCEEDED:
        return True
    return False if outcome == "failed" and phase == "Verify" else None
