"""From the events of a run to an outcome for each host: what was proved, not what was returned. No outcome is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.irctl.runbooks.plugins.module_utils.phases import PHASES
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl import errors

if TYPE_CHECKING:
    from irctl.running.engine import End, Event

_WRAPPING = re.compile(r"^(?:(?:Task|Module|Action) failed: )+")
UNREADABLE = (1, 4)  # as ansible-playbook ends where a file of tasks is not what it should be
CHANGING = PHASES[3:]  # from here on something may have been changed


@dataclass
class Host:
    """What became of one host."""

    outcome: str = "indeterminate"
    changed: bool = False
    reason: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    phase: str = ""
    evidence_lost: bool = False
    affected: dict[str, Any] | None = None  # what exactly was to be changed, where Capture wrote that down

    @property
    def touched(self) -> bool:
        """Whether something may have been changed: it was, or nobody knows, or it failed after its change had begun."""
        begun = self.phase in CHANGING
        return self.changed or self.outcome == "indeterminate" or (self.outcome == "failed" and begun)

    def document(self) -> dict[str, Any]:
        """The host as the envelope shows it."""
        shown = {key: value for key, value in asdict(self).items() if key in ("outcome", "changed", "reason", "before", "after")}
        optional = {"findings": self.findings or None, "affected": self.affected}
        return shown | {key: value for key, value in optional.items() if value is not None}


@dataclass(frozen=True)
class Step:
    """One phase, begun on all hosts or ended on one, as progress shows it and the record keeps it."""

    phase: str
    host: str = ""
    ended: bool = False
    seconds: float = 0.0
    status: str = ""
    message: str = ""

    def document(self) -> dict[str, Any]:
        """The step as a line of the record has it."""
        return {"said" if key == "message" else key: value for key, value in asdict(self).items()}


class Account:
    """Follows the events of one run and keeps what matters of them."""

    def __init__(self, report: Callable[[Step], None]) -> None:
        self._report = report
        self._now = ""
        self.begun = False  # whether any task was
        self.phase: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.unreachable: dict[str, str] = {}
        self.stopped: dict[str, Any] = {}
        self.changed: set[str] = set()
        self.undecided: set[str] = set()  # whose effect could not be judged
        self.answered: set[str] = set()

    def see(self, event: Event) -> None:
        """Take in one event of ansible-runner."""
        data = event.get("event_data", {})
        host, phase = data.get("host"), _phase(data.get("task") or "")
        self.begun = self.begun or event["event"] == "playbook_on_task_start"
        if event["event"] == "playbook_on_task_start" and phase:
            self._now = phase
            self._report(Step(phase))
        elif event["event"] in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable") and host:
            self._end(event["event"].removeprefix("runner_on_"), host, phase, data)

    def _end(self, status: str, host: str, phase: str, data: Mapping[str, Any]) -> None:
        result = data.get("res") or {}
        self.phase[host] = phase or self.phase.get(host, "")
        if status != "unreachable":
            self.answered.add(host)
        message = _plain(result.get("msg") or "")
        if phase == "Report" and str(data.get("task_action")).endswith("set_stats"):  # a target's own words are none
            self._stop(host, (result.get("ansible_stats") or {}).get("data"))
        if phase == "Change" and result.get("changed"):
            self.changed.add(host)
        if status == "failed" and not data.get("ignore_errors"):
            self.failed.setdefault(host, message)
            self.phase[host] = "Guard" if result.get("refused") else self.phase[host]
            if result.get("undecided") is True and phase == "Verify":
                self.undecided.add(host)
        if status == "unreachable":
            self.unreachable.setdefault(host, message)
        if phase:
            self._report(Step(phase, host, True, round(data.get("duration") or 0.0, 3), status, message))

    def _stop(self, host: str, published: Any) -> None:
        why = published.get("irctl_stopped") if isinstance(published, dict) else None
        if isinstance(why, dict) and isinstance(why.get(host), dict):
            self.stopped[host] = why[host]

    def last(self, host: str) -> str:
        """The last phase that a host was seen in: the one under way, unless the host had stopped before."""
        return self.phase.get(host, "") if host in {*self.failed, *self.unreachable} else self._now


def _plain(message: Any) -> str:
    """A task's message without what Ansible puts before it, and of what ssh printed only the last line: the rest are banners."""
    text = _WRAPPING.sub("", str(message))
    if "IDENTIFICATION HAS CHANGED" in text:
        return "The host's ssh key is not the one in known_hosts, so nobody was logged in. Ask its owner before you accept it."
    before, ssh, printed = text.partition("Failed to connect to the host via ssh: ")
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return printable(before + ssh + lines[-1] if lines else text)


def _phase(task: str) -> str:
    word = task.rpartition(" : ")[2].partition(" | ")[0]
    return word if word in PHASES else ""


def hosts(account: Account, expected: Iterable[str], end: End, *, changes: bool = True) -> dict[str, Host]:
    """Give every expected host its outcome. `changes` says whether the run was to change anything."""
    return {name: _host(account, name, end, changes) for name in expected}


def _host(account: Account, name: str, end: End, changes: bool) -> Host:
    phase = account.last(name)
    report, stopped = end.reports.get(name), account.stopped.get(name)
    changed = name in account.changed
    if name in account.unreachable:
        lost = phase in CHANGING or (changes and name in account.answered)
        return _unreachable(account.unreachable[name], phase, changed, lost=lost)
    if stopped or (name in account.failed and (end.interrupted or not report)):
        host = _stopped(stopped or {}, account.failed.get(name, ""), phase, changed)
        return replace(host, outcome="indeterminate") if name in account.undecided and host.phase == "Verify" else host
    if not account.begun and not end.interrupted and end.code in UNREADABLE:
        return Host("failed", reason=f"Ansible cannot read it, so nothing was run: {_last_words(end)}")
    if not report or not (end.interrupted or end.code in (0, 2, 4)):
        return Host("indeterminate", changed, _cut_short(end, phase), phase=phase)
    changed = bool(report["changed"])
    return Host(
        outcome="changed" if changed else "unchanged",
        changed=changed,
        reason=printable(report["reason"]),
        before=report["before"],
        after=report["after"],
        findings=report["findings"],
        phase=phase,
    )


def _unreachable(reason: str, phase: str, changed: bool, *, lost: bool) -> Host:
    """A host that did not answer. Where it had answered before, or was about to be changed, its task may have been done."""
    if not lost:
        return Host("unreachable", changed, reason, phase=phase)
    sentence = f"{phase}: {reason} What the host was told last may have been done."
    return Host("indeterminate", changed, sentence, phase=phase)


def _stopped(stopped: Mapping[str, Any], failed: str, phase: str, changed: bool) -> Host:
    where = stopped.get("phase", phase)
    reason = printable(stopped.get("reason") or failed)
    if where == "Guard":
        return Host("refused", reason=reason, phase=where)
    after_change = where in CHANGING
    reason = f"{where or 'before the first step'}: {reason}"
    if not after_change:
        reason += f"{'' if reason.endswith(('.', '!', '?')) else '.'} Nothing was changed."
    return Host("failed", changed, reason, phase=where, evidence_lost=where == "Capture")


def _cut_short(end: End, phase: str) -> str:
    return f"{end.interrupted or _last_words(end)}; the last step seen was {phase or 'none'}"


def _last_words(end: End) -> str:
    """What Ansible said at its end: its last error with all that follows, or its last lines."""
    if not end.messages:
        return f"ansible ended with {end.code} and no result"
    errors_at = [number for number, line in enumerate(end.messages) if line.startswith("[ERROR]")]
    lines = end.messages[errors_at[-1] :] if errors_at else end.messages[-3:]
    return printable(" ".join(" ".join(lines).split()).removeprefix("[ERROR]: "), 500)


def overall(found: Mapping[str, Host]) -> tuple[str, int]:
    """One outcome and exit code for all hosts: theirs where they agree, else the one that most needs a look."""
    outcomes = {host.outcome for host in found.values()}
    good = outcomes & {"changed", "unchanged"}
    if "indeterminate" in outcomes or not outcomes:
        return "indeterminate", errors.INDETERMINATE
    if good and outcomes - good:
        return "partial", errors.PARTIAL
    for outcome in ("failed", "unreachable", "refused", "changed", "unchanged"):
        if outcome in outcomes:
            lost = any(host.evidence_lost for host in found.values())
            return outcome, errors.EVIDENCE if lost else errors.EXIT_CODES[outcome]
    raise AssertionError(outcomes)
