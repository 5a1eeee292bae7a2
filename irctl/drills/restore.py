"""Take away what a drill has made, and close it: at its end, or later where its process was killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.catalog.config import Setting, Settings
from irctl.drills import history
from irctl.drills.history import UNKNOWN, WORSE, Drill
from irctl.drills.steps import DrillOrder, Interrupted, Judgement, Steps, answers
from irctl.errors import Busy, IrctlError, Refused
from irctl.incidents import incidents, severity
from irctl.orders import killed_runs, revert
from irctl.orders.order import Outcome, Show
from irctl.record import locks, runs

MOST = 1000  # characters of a reason


def put_back(steps: Steps, judgement: Judgement) -> str:
    """Undo the remediation and the fault, and look; '' or why something may not be restored.

    A signal that comes within is answered by trying once more: a terminal that goes away may send two.
    """
    why = ""
    for _ in range(2):
        steps.forget_signal()
        try:
            _undo(steps)
            _verify_as_before(steps, judgement)
            return ""
        except Interrupted as error:
            why = judgement.interrupted = str(error)
        except (IrctlError, OSError) as error:
            why = str(error)
            break
    judgement.end_badly(WORSE, f"what the drill made is not all taken away: {why}")
    return why


def _undo(steps: Steps) -> None:
    """Undo the remediation, and take the fault away whatever came of that. Raises IrctlError for what failed first."""
    failures = [error for error in map(partial(_revert, steps), _revertible(steps)) if error]
    if "restore" in steps.entry_points:
        _require_success(steps.take("restore", "restore", urgent=True), "its fault is not taken away")
    if failures:
        raise IrctlError(str(failures[0]))


def _revertible(steps: Steps) -> list[str]:
    """The runs of the remediation that may have changed something which can be undone, newest first."""
    if "revert" not in steps.entry_points:
        return []
    all_runs = incidents.state(steps.home, steps.incident).runs.items()
    changed = [run for run, facts in all_runs if _may_have_changed(facts)]
    return changed[::-1]


def _may_have_changed(run: Mapping[str, Any]) -> bool:
    return run.get("entry_point") == "main" and run["outcome"] not in ("unchanged", "refused")


def _revert(steps: Steps, run: str) -> IrctlError | None:
    """Undo what this run did; what went wrong. A refusal is none: the look at the end says whether anything remains."""
    try:
        order = revert.order(steps.settings, runs.Folder(steps.home, run), **steps.terms(urgent=True))
        result = steps.carry_out("revert", order)
        if result.outcome != "refused":
            _require_success(result, "its remediation is not undone")
    except Refused:  # it captured nothing, so there is nothing to undo
        return None
    except Interrupted:
        raise
    except IrctlError as error:
        return error
    return None


def _require_success(result: Outcome, failure: str) -> None:
    if not result.succeeded:
        raise IrctlError(f"{failure}: {result.reasons()}")


def _verify_as_before(steps: Steps, judgement: Judgement) -> None:
    after = steps.verify("after", urgent=True)
    seen, expected = answers(after), steps.order.proved_when_well
    if (not expected) in seen:
        trouble = after.reasons() if expected else "the measure is still on"
        judgement.end_badly(WORSE, f"it is not as it was before: {trouble}")
    elif None in seen:
        judgement.end_badly(UNKNOWN, f"it cannot be said whether all is as it was before: {after.reasons()}", after.exit_code)


def close(steps: Steps, judgement: Judgement, not_restored: str) -> Drill:
    """Write down the verdict, and where everything is restored, the drill's end. Raises EvidenceError."""
    home, incident, by = steps.home, steps.incident, steps.settings.operator
    if not history.find(home, incident).verdict:
        incidents.record(home, incident, _verdict(steps, judgement))
    if not_restored:
        _note_not_restored(steps, not_restored)
    else:
        resolution = f"{judgement.verdict}: {judgement.why}" if judgement.why else judgement.verdict
        incidents.record(home, incident, {"event": "closed", "by": by, "resolution": resolution[: incidents.MOST]})
        history.close(home, incident)
    return history.find(home, incident)


def _verdict(steps: Steps, judgement: Judgement) -> dict[str, Any]:
    """The line of the journal that says what the drill showed."""
    return {
        "event": "drilled",
        "by": steps.settings.operator,
        "remediation": steps.order.remediation,
        "hosts": steps.hosts,
        "verdict": judgement.verdict,
        "why": judgement.why[:MOST],
        "detect": judgement.detect,
        "mitigate": judgement.mitigate,
        "seconds": round(time.monotonic() - steps.since, 3),
        "steps": steps.taken,
    }


def _note_not_restored(steps: Steps, why: str) -> None:
    entry = {"event": "drill-not-restored", "by": steps.settings.operator, "why": why[:MOST]}
    incidents.record(steps.home, steps.incident, entry)


def run_due(settings: Settings, show: Show) -> list[str]:
    """Restore drills that were cut short; a sentence for each tried, beginning with 'restored' or 'FAILED'."""
    unfinished = history.unfinished(settings.home_path)
    return [message for incident in unfinished if (message := _try(incident, settings, show))]


def _try(incident: str, settings: Settings, show: Show) -> str:
    try:
        if not history.worth_a_try(settings.home_path, incident):
            return ""
        drill = restore(incident, settings, show)
        return f"restored: {drill.remediation} on {short_list(drill.hosts)} (drill {incident}): {drill.verdict}"
    except (IrctlError, OSError) as error:
        return f"FAILED: drill {incident} could not be restored: {' '.join(str(error).split())[:300]}"


def restore(incident: str, settings: Settings, show: Show) -> Drill:
    """Take away what a drill that was cut short has made, and close it. Raises IrctlError, and then it is to be tried again."""
    home = settings.home_path
    history.find(home, incident)
    incidents.require_known(home, incident, incidents.entries(home, incident))  # before a word is added to it
    if (lock := history.take_over(home, incident)) is None:
        raise Busy(f"{incident} is under way; how far it is: irctl incident timeline {incident}")
    try:
        if incidents.state(home, incident).closed:
            history.close(home, incident)
            raise Refused(f"{incident} is closed; nothing of it is left to restore")
        for message in killed_runs.close(home):
            show("message", message)
        return _restore(_steps_of(incident, settings, show))
    finally:
        locks.release([lock])


def _restore(steps: Steps) -> Drill:
    drill = history.find(steps.home, steps.incident)
    judgement = Judgement(drill.verdict or UNKNOWN, drill.why or "its process was killed")
    held = locks.hold_targets(steps.home, f"{steps.service}-drill", steps.hosts, steps.incident)
    try:
        with steps.kept_alive():
            faulted = any(step["step"] == "fault" for step in steps.taken)
            if not_restored := put_back(steps, judgement) if faulted else "":
                _note_not_restored(steps, not_restored)
                raise IrctlError(not_restored)
            return close(steps, judgement, "")
    finally:
        locks.release(held)


def _steps_of(incident: str, settings: Settings, show: Show) -> Steps:
    """The steps of a drill as its journal has them, with the inventory and the content that it was begun with.

    Raises EvidenceError where the journal is not the one that the home knows: what it says is carried out.
    """
    entries = incidents.entries(settings.home_path, incident)
    incidents.require_known(settings.home_path, incident, entries)
    opened, origin = entries[0], f"the drill {incident}"
    then = replace(settings, inventory=Setting(opened["inventory"], origin), content=Setting(opened["content"], origin))
    names, terms = tuple(opened["hosts"]), {"timeout": opened["timeout"], "scheduled": opened["scheduled"]}
    steps = Steps(DrillOrder(opened["remediation"], names, opened["proof"], opened["parameters"], **terms), then, show)
    steps.incident = incident
    steps.taken = [_step(run, facts) for run, facts in incidents.fold(incident, entries).runs.items()]
    steps.since -= max((severity.instant(entries[-1]["at"]) - severity.instant(opened["at"])).total_seconds(), 0)
    return steps


def _step(run: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A step that was carried out by a process which is gone."""
    seconds, entry_point = 0.0, str(facts.get("entry_point", ""))
    if "started" in facts and "ended" in facts:
        seconds = (severity.instant(facts["ended"]) - severity.instant(facts["started"])).total_seconds()
    name = "mend" if entry_point == "main" else entry_point
    return {"step": name, "run": run, "outcome": str(facts["outcome"]), "seconds": round(seconds, 3)}
