"""Take away what a drill has made, and close it: at its end, or later where its process was killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from irctl.catalog.config import Setting, Settings
from irctl.drills import history
from irctl.drills.history import UNKNOWN, WORSE, Drill
from irctl.drills.steps import HEALTH, Course, Interrupted, Judgement, Show, Wish, answers, reasons
from irctl.errors import Busy, IrctlError, Refused
from irctl.incidents import incidents, severity
from irctl.orders import flow, undo
from irctl.orders.undo import GOOD
from irctl.record import locks, runs


def put_back(course: Course, judged: Judgement) -> str:
    """Undo the remediation and the fault, and look; '' or why something may be left.

    A signal that comes within is answered by trying once more: a terminal that goes away may say so twice.
    """
    why = ""
    for _ in range(2):
        course.forget_signal()
        try:
            _undo(course)
            _look_again(course, judged)
            return ""
        except Interrupted as error:
            why = judged.interrupted = str(error)
        except (IrctlError, OSError) as error:
            why = str(error)
            break
    judged.be(WORSE, f"what the drill made is not all taken away: {why}")
    return why


def _undo(course: Course) -> None:
    """Undo the remediation, and take the fault away whatever came of that. Raises IrctlError for what failed first."""
    failed = [str(error) for error in map(partial(_undone, course), _mended(course)) if error]
    if "restore" in course.points:
        _require_good(course.step("restore", "restore", urgent=True), "its fault is not taken away")
    if failed:
        raise IrctlError(failed[0])


def _undone(course: Course, run: str) -> IrctlError | None:
    """Undo what this run did; what went wrong. A refusal is none: the look at the end says whether anything is left."""
    try:
        wanted = undo.order(course.settings, runs.Folder(course.home, run), **course.terms(urgent=True))
        done = course.carry_out("revert", wanted)
        if done.outcome != "refused":
            _require_good(done, "its remediation is not undone")
    except Refused:  # it captured nothing, so there is nothing to undo
        return None
    except Interrupted:
        raise
    except IrctlError as error:
        return error
    return None


def _mended(course: Course) -> list[str]:
    """The runs of the remediation that may have changed something which can be undone, newest first."""
    if "revert" not in course.points:
        return []
    found = incidents.state(course.home, course.incident).runs.items()
    mine = [run for run, about in found if about.get("entry_point") == "main" and about["outcome"] not in ("unchanged", "refused")]
    return mine[::-1]


def _require_good(done: flow.Outcome, what: str) -> None:
    if done.outcome not in GOOD:
        raise IrctlError(f"{what}: {reasons(done)}")


def _look_again(course: Course, judged: Judgement) -> None:
    after = course.look("after", urgent=True)
    seen, wanted = answers(after), course.wish.proof == HEALTH
    if (not wanted) in seen:
        said = reasons(after) if wanted else "the measure is still on"
        judged.be(WORSE, f"it is not as it was before: {said}")
    elif None in seen:
        judged.be(UNKNOWN, f"it cannot be said whether all is as it was before: {reasons(after)}", after.exit_code)


def close(course: Course, judged: Judgement, left: str) -> Drill:
    """Write down the verdict, and where nothing is left of the drill, its end. Raises EvidenceError."""
    home, incident, by = course.home, course.incident, course.settings.operator
    if not history.find(home, incident).verdict:
        about = {"remediation": course.wish.remediation, "hosts": course.hosts, "verdict": judged.verdict, "why": judged.why[:1000]}
        took = {"detect": judged.detect, "mitigate": judged.mitigate, "seconds": round(time.monotonic() - course.since, 3)}
        incidents.record(home, incident, {"event": "drilled", "by": by, **about, **took, "steps": course.steps})
    if left:
        _not_restored(course, left)
    else:
        said = f"{judged.verdict}: {judged.why}" if judged.why else judged.verdict
        incidents.record(home, incident, {"event": "closed", "by": by, "resolution": said[: incidents.MOST]})
        history.close(home, incident)
    return history.find(home, incident)


def _not_restored(course: Course, why: str) -> None:
    entry = {"event": "drill-not-restored", "by": course.settings.operator, "why": why[:1000]}
    incidents.record(course.home, course.incident, entry)


def restore(incident: str, settings: Settings, show: Show) -> Drill:
    """Take away what a drill left behind that was cut short, and close it. Raises IrctlError, and then it is to be tried again."""
    home = settings.home_path
    history.find(home, incident)
    if (held := history.take(home, incident)) is None:
        raise Busy(f"{incident} is under way; how far it is: irctl incident timeline {incident}")
    try:
        if incidents.state(home, incident).closed:
            history.close(home, incident)
            raise Refused(f"{incident} is closed; nothing of it is left to restore")
        for sentence in flow.close_killed(home):
            show("said", sentence)
        return _restore(_course_of(incident, settings, show))
    finally:
        locks.release([held])


def _restore(course: Course) -> Drill:
    known = history.find(course.home, course.incident)
    judged = Judgement(known.verdict or UNKNOWN, known.why or "its process was killed")
    held = locks.hold_targets(course.home, f"{course.service}-drill", course.hosts, course.incident)
    try:
        with course.kept_alive():
            made = any(step["step"] == "fault" for step in course.steps)
            if left := put_back(course, judged) if made else "":
                _not_restored(course, left)
                raise IrctlError(left)
            return close(course, judged, "")
    finally:
        locks.release(held)


def _course_of(incident: str, settings: Settings, show: Show) -> Course:
    """A drill as its journal has it, with the inventory and the content that it was begun with."""
    told = incidents.entries(settings.home_path, incident)
    opened, origin = told[0], f"the drill {incident}"
    there = replace(settings, inventory=Setting(opened["inventory"], origin), content=Setting(opened["content"], origin))
    about = (opened["remediation"], tuple(opened["hosts"]), opened["proof"], opened["parameters"])
    course = Course(Wish(*about, timeout=opened["timeout"], scheduled=opened["scheduled"]), there, show)
    course.incident = incident
    course.steps = [_step_of(run, about) for run, about in incidents.fold(incident, told).runs.items()]
    course.since -= max((severity.instant(told[-1]["at"]) - severity.instant(opened["at"])).total_seconds(), 0)
    return course


def _step_of(run: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """A step that was carried out by a process which is gone."""
    seconds, point = 0.0, str(about.get("entry_point", ""))
    if "started" in about and "ended" in about:
        seconds = (severity.instant(about["ended"]) - severity.instant(about["started"])).total_seconds()
    return {"step": {"main": "mend"}.get(point, point), "run": run, "outcome": str(about["outcome"]), "seconds": round(seconds, 3)}


def run_due(settings: Settings, show: Show) -> list[str]:
    """Restore what drills left behind that were cut short; a sentence for each tried, beginning with 'restored' or 'FAILED'."""
    home = settings.home_path
    return [said for incident in history.unfinished(home) if (said := _try(incident, settings, show))]


def _try(incident: str, settings: Settings, show: Show) -> str:
    try:
        if not history.worth_a_try(settings.home_path, incident):
            return ""
        done = restore(incident, settings, show)
        return f"restored: {done.remediation} on {', '.join(done.hosts)} (drill {incident}): {done.verdict}"
    except (IrctlError, OSError) as error:
        return f"FAILED: drill {incident} could not be restored: {' '.join(str(error).split())[:300]}"
