"""The steps of one drill, each of which is a run like any other under the drill's incident, and what its proof said."""

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
from irctl.drills.history import FIXED, NOT_FIXED, NOTHING, UNKNOWN, WORSE
from irctl.errors import IrctlError
from irctl.orders import flow
from irctl.orders.flow import Order, Outcome
from irctl.orders.undo import GOOD
from irctl.running import signals
from irctl.running.results import Step

HEALTH, MEASURE = "health", "measure"
CODES = {FIXED: errors.DONE, NOT_FIXED: errors.FAILED, WORSE: errors.FAILED, NOTHING: errors.FAILED, UNKNOWN: errors.FAILED}
CUT = "stopped by SIG"  # how a run begins to say that a signal ended it

Show = Callable[[str, Any], None]
Begin = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Wish:
    """One remediation to be drilled on these hosts or groups.

    With the proof `health` its verify holds while nothing is wrong; with `measure`, only while the measure is on.
    """

    remediation: str
    names: tuple[str, ...]
    proof: str = HEALTH
    parameters: Mapping[str, Any] = field(default_factory=dict)
    detect_within: int = 60
    timeout: int = 600
    scheduled: bool = False


@dataclass
class Judgement:
    """What a drill showed so far. `code` is the exit code that goes with it; `detect` and `mitigate` are in seconds."""

    verdict: str = UNKNOWN
    why: str = ""
    code: int = errors.INDETERMINATE
    detect: float | None = None
    mitigate: float | None = None
    interrupted: str = ""
    lacks: str = ""  # why it could not be held on these hosts at all

    def be(self, verdict: str, why: str = "", code: int | None = None) -> None:
        self.verdict, self.why = verdict, why
        self.code = CODES[verdict] if code is None else code


class Interrupted(IrctlError):
    """Somebody wants the drill to end."""

    outcome, exit_code = "indeterminate", errors.INDETERMINATE


class Course:
    """Carries out the steps of one drill and keeps account of them."""

    def __init__(self, wish: Wish, settings: Settings, show: Show) -> None:
        self.wish, self.settings, self._show = wish, settings, show
        self.home, self.contents = settings.home_path, settings.contents
        self.points = catalog.entry_points(wish.remediation, self.contents)
        self.service = catalog.load(wish.remediation, self.contents).about["service"]
        self.incident, self.hosts = "", wish.names
        self.steps: list[dict[str, Any]] = []
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

    def look(self, word: str, *, urgent: bool = False, begin: Begin | None = None) -> Outcome:
        """Whether the proof of the remediation holds now. Raises IrctlError."""
        return self.step(word, "verify", urgent=urgent, begin=begin)

    def step(self, word: str, point: str, *, urgent: bool = False, begin: Begin | None = None) -> Outcome:
        """Run one entry point with those of the drill's parameters that it knows. Raises IrctlError."""
        found = catalog.load(self.wish.remediation, self.contents, entry_point=point)
        known = {option.variable for option in found.options}
        given = {name: value for name, value in self.wish.parameters.items() if name in known}
        return self.carry_out(word, Order(found, self.hosts, given, entry_point=point, begin=begin, **self.terms(urgent=urgent)))

    def terms(self, *, urgent: bool) -> dict[str, Any]:
        """What all orders of the drill have in common. What is urgent goes on where everything else is stopped."""
        return {"incident": self.incident, "timeout": self.wish.timeout, "drill": True, "urgent": urgent}

    def carry_out(self, word: str, order: Order) -> Outcome:
        """One step. Raises Interrupted once it is over where a signal came meanwhile, IrctlError."""
        if self.signal:
            raise Interrupted(self.signal)
        self.tell("step", Step(word.capitalize()))
        try:
            done = flow.carry_out(order, self.settings, self._pass_on)
        except IrctlError as error:
            raise Interrupted(str(error)) if str(error).startswith(CUT) else error from None
        self.steps.append({"step": word, "run": done.run, "outcome": done.outcome, "seconds": done.seconds})
        answered = done.outcome in GOOD or (order.entry_point == "verify" and answers(done) == {False})
        self.tell("drill", Step(word.capitalize(), "", True, done.seconds, "ok" if answered else "failed", reasons(done)))
        if cut := self.signal or (done.interrupted if done.interrupted.startswith(CUT) else ""):
            raise Interrupted(cut)
        return done

    def _pass_on(self, what: str, about: Any) -> None:
        if what == "said":
            self.tell(what, about)

    def tell(self, what: str, about: Any) -> None:
        with suppress(OSError):  # nobody reads on; that must not decide about the drill
            self._show(what, about)


def answers(done: Outcome) -> set[bool | None]:
    """What a verify says of its hosts: it holds, it does not, or nobody knows."""
    found: set[bool | None] = set()
    for host in done.hosts.values():
        failed = False if host.outcome == "failed" and host.phase == "Verify" else None
        found.add(True if host.outcome in GOOD else failed)
    return found


def reasons(done: Outcome) -> str:
    """What is said of the first few hosts, those that are not well before the others."""
    told = sorted(done.hosts.items(), key=lambda item: item[1].outcome in GOOD)
    found = [f"{name}: {host.reason}" for name, host in told[:3]]
    return "; ".join([*found, f"and {len(told) - 3} more"] if len(told) > 3 else found)
