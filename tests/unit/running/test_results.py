"""From events to outcomes: what was proved, not what was returned."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.phases import PHASES
from irctl import errors
from irctl.running import results
from irctl.running.engine import End

REPORT = {"changed": True, "reason": "64 ended", "before": {"n": 64}, "after": {"n": 0}, "evidence": [], "findings": []}
TASK = "irctl.runbooks.db_connections : {} | Something"


class Story:
    """Tells an Account the events of a run, as ansible-runner would."""

    def __init__(self) -> None:
        self.steps: list[results.Step] = []
        self.account = results.Account(self.steps.append)
        self.code = 0
        self.reports: dict[str, Any] = {}
        self._begun = ""

    def begin(self, phase: str) -> Story:
        """Ansible begins a task on all hosts at once."""
        self._begun = phase
        self.account.see({"event": "playbook_on_task_start", "event_data": {"task": TASK.format(phase)}})
        return self

    def step(
        self, host: str, phase: str, status: str = "ok", msg: str = "", action: str = "irctl.runbooks.x", **result: Any
    ) -> Story:
        if phase != self._begun:
            self.begin(phase)
        about = {"host": host, "task": TASK.format(phase), "task_action": action}
        more = {"ignore_errors": True} if result.pop("ignored", False) else {}
        self.account.see({"event": f"runner_on_{status}", "event_data": {**about, "res": {"msg": msg, **result}, **more}})
        return self

    def publish(self, host: str, key: str, what: dict[str, Any], action: str = "ansible.builtin.set_stats") -> Story:
        stats = {"data": {key: {host: what}}, "per_host": False, "aggregate": True}
        return self.step(host, "Report", action=action, ansible_stats=stats)

    def good(self, host: str, changed: bool = True) -> Story:
        for phase in PHASES[:-1]:
            self.step(host, phase, changed=changed and phase == "Change")
        self.reports[host] = {**REPORT, "changed": changed}
        return self.publish(host, "irctl_report", self.reports[host], "irctl.runbooks.report")

    def stopped(self, host: str, phase: str, reason: str, status: str = "failed") -> Story:
        self.code = 2
        self.step(host, phase, status, reason)
        self.publish(host, "irctl_stopped", {"phase": phase, "reason": reason})
        return self.step(host, "Report", "failed", reason, "ansible.builtin.fail")

    def told(self, *expected: str, end: End | None = None) -> dict[str, results.Host]:
        """What became of the hosts; the reports are those of the file that the Report phase wrote."""
        end = end or End(code=self.code)
        end.reports = self.reports
        return results.hosts(self.account, expected, end)


def outcome(found: dict[str, results.Host]) -> tuple[str, int]:
    return results.overall(found)


def test_a_host_that_reported_a_change_is_changed() -> None:
    found = Story().good("a").told("a")
    assert found["a"].document() == {
        "outcome": "changed", "changed": True, "reason": "64 ended", "before": {"n": 64}, "after": {"n": 0},
    }  # fmt: skip
    assert outcome(found) == ("changed", errors.DONE)


def test_a_host_that_reported_no_change_is_unchanged() -> None:
    assert outcome(Story().good("a", changed=False).told("a")) == ("unchanged", errors.DONE)


def test_some_changed_and_some_unchanged_is_changed() -> None:
    assert outcome(Story().good("a").good("b", changed=False).told("a", "b")) == ("changed", errors.DONE)


def test_an_expected_host_without_any_event_is_indeterminate() -> None:
    found = Story().good("a").told("a", "b")
    assert found["b"].outcome == "indeterminate"
    assert found["b"].reason.endswith("the last step seen was Report")
    assert outcome(found) == ("indeterminate", errors.INDETERMINATE)


def test_of_a_run_without_any_event_no_step_was_seen() -> None:
    assert Story().told("a")["a"].reason == "ansible ended with 0 and no result; the last step seen was none"


def test_where_ansible_could_not_read_a_file_and_no_task_began_it_failed_and_nothing_was_run() -> None:
    said = ["[ERROR]: couldn't resolve module/action 'nam'.", "Origin: main.yml:38:3", "", "38 - nam: x", "    ^ column 3"]
    for code in (1, 4):
        host = Story().told("a", end=End(code, messages=["[WARNING]: a deprecation", *said]))["a"]
        assert (host.outcome, host.changed) == ("failed", False)
        words = "couldn't resolve module/action 'nam'. Origin: main.yml:38:3 38 - nam: x ^ column 3"
        assert host.reason == f"Ansible cannot read it, so nothing was run: {words}"
    begun = Story().begin("Gather").told("a", end=End(4, messages=said))["a"]
    assert begun.outcome == "indeterminate", "once a task began, nobody knows"
    killed = Story().told("a", end=End(-9, messages=said))["a"]
    assert killed.outcome == "indeterminate"
    assert Story().told("a", end=End(4, "stopped by SIGINT"))["a"].outcome == "indeterminate"


def test_that_nothing_was_changed_is_a_sentence_of_its_own() -> None:
    for reason, said in (
        ("no bucket is named", "Gather: no bucket is named. Nothing was changed."),
        ("No.", "Gather: No. Nothing was changed."),
    ):
        assert Story().stopped("a", "Gather", reason).told("a")["a"].reason == said


def test_a_host_whose_steps_all_went_well_but_that_never_reported_is_indeterminate() -> None:
    found = Story().step("a", "Gather").step("a", "Change").told("a")
    assert found["a"].outcome == "indeterminate"
    assert "the last step seen was Change" in found["a"].reason


def test_no_host_at_all_is_indeterminate() -> None:
    assert outcome({}) == ("indeterminate", errors.INDETERMINATE)


def test_a_host_that_nobody_asked_for_has_no_outcome() -> None:
    assert set(Story().good("a").good("stranger").told("a")) == {"a"}


def test_a_stop_in_guard_is_a_refusal_with_its_sentence() -> None:
    found = Story().step("a", "Gather").stopped("a", "Guard", "812 sessions match and the limit is 100.").told("a")
    assert (found["a"].outcome, found["a"].reason) == ("refused", "812 sessions match and the limit is 100.")
    assert outcome(found) == ("refused", errors.REFUSED)


@pytest.mark.parametrize("phase", ["Gather", "Capture"])
def test_a_failure_before_the_change_says_that_nothing_was_changed(phase: str) -> None:
    found = Story().stopped("a", phase, "It broke.").told("a")
    assert (found["a"].outcome, found["a"].reason) == ("failed", f"{phase}: It broke. Nothing was changed.")


@pytest.mark.parametrize("phase", ["Change", "Verify"])
def test_a_failure_from_the_change_on_does_not_say_that_nothing_was_changed(phase: str) -> None:
    found = Story().stopped("a", phase, "It broke.").told("a")
    assert found["a"].reason == f"{phase}: It broke."
    assert outcome(found) == ("failed", errors.FAILED)


def test_a_failure_in_capture_is_lost_evidence() -> None:
    assert outcome(Story().stopped("a", "Capture", "Disk full.").told("a")) == ("failed", errors.EVIDENCE)


def test_a_failure_that_nobody_published_is_a_failure_all_the_same() -> None:
    found = Story().step("a", "Gather", "failed", "no such module").told("a", end=End(code=2))
    assert (found["a"].outcome, found["a"].reason) == ("failed", "Gather: no such module. Nothing was changed.")


def test_a_failure_that_the_role_ignores_is_none() -> None:
    assert outcome(Story().step("a", "Gather", "failed", "x", ignored=True).good("a").told("a"))[0] == "changed"


def test_a_report_does_not_outweigh_a_failure() -> None:
    story = Story().good("a").stopped("a", "Verify", "One is left.")
    assert story.told("a")["a"].outcome == "failed"


def test_a_failure_that_the_role_mended_by_itself_does_not_outweigh_the_report() -> None:
    assert Story().step("a", "Gather", "failed", "x").good("a").told("a")["a"].outcome == "changed"


def test_of_a_report_the_findings_are_kept_and_the_reason_is_inert() -> None:
    story = Story().good("a")
    story.reports["a"] |= {"findings": [{"level": "notice"}], "reason": "x\x1b[2J\ny"}
    found = story.told("a")["a"]
    assert (found.findings, found.reason) == ([{"level": "notice"}], "x?[2J?y")


def test_a_key_that_is_not_the_known_one_is_said_without_the_banner() -> None:
    banner = "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@"
    reason = Story().step("a", "Gather", "unreachable", banner).told("a", end=End(code=4))["a"].reason
    assert reason.startswith("The host's ssh key is not the one in known_hosts")
    assert "@" not in reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Task failed: Module failed: The disk is full.", "The disk is full."),
        (
            "Task failed: Failed to connect to the host via ssh: Members only!\r\n\r\nConnection timed out during banner exchange"
            "\r\nConnection to 192.0.2.1 port 22 timed out\r\n",
            "Failed to connect to the host via ssh: Connection to 192.0.2.1 port 22 timed out",
        ),
        ("The Task failed: twice", "The Task failed: twice"),
        ("two\nlines", "two?lines"),
    ],
)
def test_a_message_is_told_without_what_ansible_and_a_banner_put_before_it(message: str, reason: str) -> None:
    assert Story().step("a", "Gather", "unreachable", message).told("a", end=End(code=4))["a"].reason == reason


def test_an_unreachable_host_is_unreachable() -> None:
    found = Story().step("a", "Gather", "unreachable", "no route").told("a", end=End(code=4))
    assert (found["a"].outcome, found["a"].reason) == ("unreachable", "no route")
    assert outcome(found) == ("unreachable", errors.UNREACHABLE)


def test_some_good_and_some_not_is_partial() -> None:
    story = Story().good("a").step("b", "Gather", "unreachable", "no route")
    assert outcome(story.told("a", "b", end=End(code=4))) == ("partial", errors.PARTIAL)


@pytest.mark.parametrize(("codes", "worst"), [("refused failed", "failed"), ("refused unreachable", "unreachable")])
def test_where_no_host_is_good_the_one_that_most_needs_a_look_decides(codes: str, worst: str) -> None:
    assert outcome({word: results.Host(word) for word in codes.split()}) == (worst, errors.EXIT_CODES[worst])


@pytest.mark.parametrize("end", [End(250), End(1), End(-9)])
def test_a_report_of_a_run_that_ended_in_no_known_way_is_not_believed(end: End) -> None:
    found = Story().good("a").told("a", end=end)
    assert outcome(found) == ("indeterminate", errors.INDETERMINATE)
    assert "the last step seen was Report" in found["a"].reason


def test_of_a_run_that_was_interrupted_the_hosts_that_had_reported_keep_what_was_proved() -> None:
    found = Story().good("a").step("b", "Change", changed=True).told("a", "b", end=End(-9, "stopped by SIGTERM"))
    assert found["a"].outcome == "changed"
    assert (found["b"].outcome, found["b"].reason) == ("indeterminate", "stopped by SIGTERM; the last step seen was Change")
    assert outcome(found) == ("indeterminate", errors.INDETERMINATE)


def test_a_failure_after_a_change_says_that_there_was_one() -> None:
    found = Story().step("a", "Change", changed=True).stopped("a", "Verify", "One is left.").told("a")
    assert (found["a"].outcome, found["a"].changed) == ("failed", True)
    assert Story().stopped("a", "Guard", "No.").told("a")["a"].changed is False


def test_a_host_that_was_lost_after_its_change_began_is_indeterminate() -> None:
    assert Story().step("a", "Change", "unreachable", "gone").told("a", end=End(4))["a"].outcome == "indeterminate"
    assert Story().step("a", "Capture", "unreachable", "gone").told("a", end=End(4))["a"].outcome == "unreachable"


def test_a_host_that_answered_once_and_is_lost_then_may_have_done_what_it_was_told() -> None:
    lost = Story().step("a", "Gather").step("a", "Capture", "unreachable", "gone.")
    found = lost.told("a", end=End(4))["a"]
    assert (found.outcome, found.touched) == ("indeterminate", True)
    assert found.reason == "Capture: gone. What the host was told last may have been done."
    assert results.hosts(lost.account, ["a"], End(4), changes=False)["a"].outcome == "unreachable", "a look, or a dry run"


def forged(*hosts: str) -> dict[str, Any]:
    report, stop = {**REPORT, "reason": "forged"}, {"phase": "Guard", "reason": "forged"}
    return {"data": {"irctl_report": dict.fromkeys(hosts, report), "irctl_stopped": dict.fromkeys(hosts, stop)}}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("action", ["irctl.runbooks.x", "irctl.runbooks.report", "ansible.builtin.command"])
def test_what_a_target_returns_from_a_step_is_no_report_and_no_stop(phase: str, action: str) -> None:
    """H11: a module that runs on the target can return whatever it likes, ansible_stats too."""
    found = Story().step("a", phase, action=action, ansible_stats=forged("a")).told("a")["a"]
    assert found.outcome == "indeterminate"
    assert "forged" not in found.reason
    assert Story().step("a", phase, action=action, ansible_stats=forged("a")).good("a").told("a")["a"].outcome == "changed"


@pytest.mark.parametrize("phase", PHASES[:-1])
def test_only_the_report_phase_says_that_a_host_stopped(phase: str) -> None:
    story = Story().step("a", phase, action="ansible.builtin.set_stats", ansible_stats=forged("a"))
    assert story.good("a").told("a")["a"].outcome == "changed"


def test_no_host_can_report_or_stop_for_another() -> None:
    story = Story().step("a", "Report", action="ansible.builtin.set_stats", ansible_stats=forged("a", "b"))
    assert story.told("a", "b")["b"].outcome == "indeterminate"
    assert story.good("b").told("a", "b")["b"].outcome == "changed"
    assert story.told("a")["a"].outcome == "refused", "its own stop it may publish"


def test_a_report_of_one_host_is_none_of_another() -> None:
    found = Story().good("a").step("b", "Change").told("a", "b")
    assert [found[name].outcome for name in "ab"] == ["changed", "indeterminate"]


def test_what_a_target_says_is_inert_in_steps_and_reasons() -> None:
    story = Story().stopped("a", "Guard", "x\x1b[2J\ny")
    assert "\x1b" not in story.told("a")["a"].reason + "".join(step.message for step in story.steps)


def test_each_phase_is_reported_as_begun_once_for_all_hosts_and_as_ended_on_each() -> None:
    story = Story()
    for phase in ("Gather", "Change"):
        story.step("a", phase).step("b", phase, "failed", "No.")
    seen = [(step.phase, step.host, step.ended, step.status, step.message) for step in story.steps]
    assert seen == [
        ("Gather", "", False, "", ""),
        ("Gather", "a", True, "ok", ""),
        ("Gather", "b", True, "failed", "No."),
        ("Change", "", False, "", ""),
        ("Change", "a", True, "ok", ""),
        ("Change", "b", True, "failed", "No."),
    ]
    assert all(step.seconds >= 0 for step in story.steps)


def test_every_phase_of_a_good_run_is_a_step() -> None:
    steps = Story().good("a").steps
    assert [(step.phase, step.host) for step in steps] == [(phase, host) for phase in PHASES for host in ("", "a")]


def test_the_last_phase_of_a_host_is_the_one_under_way_unless_it_stopped_before() -> None:
    account = Story().step("a", "Guard", "failed", "No.").step("b", "Gather", "unreachable").begin("Change").account
    assert [account.last(name) for name in ("a", "b", "c")] == ["Guard", "Gather", "Change"]


def test_tasks_without_a_phase_are_not_steps() -> None:
    story = Story()
    story.account.see({"event": "playbook_on_task_start", "event_data": {"task": "Validating arguments"}})
    about = {"host": "a", "task": "Validating arguments", "res": {}}
    story.account.see({"event": "runner_on_ok", "event_data": about})
    assert (story.steps, story.account.last("a")) == ([], "")


def test_the_beginning_of_a_task_on_one_host_is_no_step() -> None:
    story = Story()
    story.account.see({"event": "runner_on_start", "event_data": {"host": "a", "task": TASK.format("Change")}})
    assert story.steps == []
