"""The object that --json prints for an error. It names the schema of the command that was typed, as its other objects do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

RUN, DIAGNOSIS = "irctl/run/1", "irctl/diagnosis/1"
WITH_VALUE = ("--home", "--inventory")  # options that may stand before the verb, each with a word that is none
SCHEMAS: Mapping[str, str] = {  # by verb, or by verb and command of a group
    "diagnose": DIAGNOSIS,
    "plan": "irctl/plan/1",
    "catalog": "irctl/catalog/1",
    "incident": "irctl/incident/1",
    "incident list": "irctl/incidents/1",
    "incident timeline": "irctl/timeline/1",
    "incident communicated": "irctl/notice/1",
    "incident pack": "irctl/pack/1",
    "request": "irctl/requests/1",
    "approve": "irctl/requests/1",
    "approvals": "irctl/requests/1",
    "drill": "irctl/drills/1",
    "drill run": "irctl/drill/1",
    "drill restore": "irctl/drill/1",
    "drill run-due": "irctl/drill/1",
    "drill report": "irctl/drill-report/1",
    "drill schedule": "irctl/drill-schedules/1",
    "leases": "irctl/leases/1",
    "stop": "irctl/stop/1",
    "resume": "irctl/stop/1",
    "runs": "irctl/runs/1",
    "runs diff": "irctl/runs-difference/1",
    "evidence verify": "irctl/verification/1",
    "evidence collect": "irctl/collected/1",
    "evidence hold": "irctl/hold/1",
    "evidence release": "irctl/hold/1",
    "lab": "irctl/lab/1",
    "lab fault": RUN,
    "doctor": "irctl/doctor/1",
    "init": "irctl/init/1",
    "help": "irctl/help/1",
    "completion": "irctl/completion/1",
    "content": "irctl/content-check/1",
    "content new": "irctl/content-new/1",
    "content build": "irctl/content-build/1",
}


def error_object(message: str, outcome: str, code: int, given: Sequence[str]) -> dict[str, Any]:
    """What ended the command line `given`; for commands that order a run, the envelope of one that did not begin."""
    schema = schema_of(given)
    if schema not in (RUN, DIAGNOSIS):
        return {"schema": schema, "outcome": outcome, "exit_code": code, "reason": message}
    nothing: dict[str, Any] = dict.fromkeys(("run", "remediation", "incident", "plan_hash", "started", "folder"))
    rest = {"check": "--check" in given, "outcome": outcome, "exit_code": code, "hosts": {}, "seconds": 0.0}
    return {"schema": schema, **nothing, **rest, "reason": message}


def schema_of(given: Sequence[str]) -> str:
    """The schema of the command that was typed; that of a run where it is none."""
    words = [*_words(given), "", ""]
    return SCHEMAS.get(" ".join(words[:2])) or SCHEMAS.get(words[0], RUN)


def _words(given: Sequence[str]) -> Iterator[str]:
    """The words that are neither global options nor their values."""
    before = ""
    for word in given:
        if not word.startswith("-") and before not in WITH_VALUE:
            yield word
        before = word
