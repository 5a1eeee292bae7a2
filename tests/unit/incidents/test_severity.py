"""The severity scales are those of the source runbooks, word for word and minute for minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from irctl.errors import Invalid
from irctl.incidents import severity

RUNBOOKS = Path(__file__).resolve().parents[4] / "shared" / "runbooks"
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MINUTE, HOUR = 60, 3600

# What the sources say, by line; each fact of irctl/data/severity.yml is held against one of these.
SAID = {
    "linguamate:372": "**P0 - Critical** (< 15 min response):",
    "linguamate:378": "**P1 - High** (< 1 hour response):",
    "linguamate:384": "**P2 - Medium** (< 4 hours response):",
    "linguamate:389": "**P3 - Low** (< 24 hours response):",
    "linguamate:471": "1. Schedule post-mortem meeting (< 48 hours)",
    "aureus:18": "| **P0 - Critical** | Complete service outage affecting all users | 5 minutes |",
    "aureus:19": "| **P1 - High** | Significant degradation affecting >50% users | 15 minutes |",
    "aureus:20": "| **P2 - Medium** | Partial degradation affecting <50% users | 1 hour |",
    "aureus:21": "| **P3 - Low** | Minor issues with workarounds | 4 hours |",
    "aureus:41": "### 2. Communicate (5-10 minutes)",
    "aureus:57": "### 3. Mitigate (10-30 minutes)",
    "aureus:67": "### 5. Post-Incident (24-72 hours)",
    "aureus:349": "- [ ] Postmortem scheduled (within 48 hours for P0/P1)",
    "spywatcher:23": "**Response:** Immediate, 24/7 response, all hands on deck",
    "spywatcher:31": "**Response:** < 1 hour, escalate if needed",
    "spywatcher:39": "**Response:** < 4 hours, during business hours",
    "spywatcher:47": "**Response:** Next sprint, no immediate action",
    "custody:31": "- Auto-escalates to on-call IC within 5 minutes",
    "custody:36": "- Email notification queued (sent within 15 minutes)",
    "custody:128": "- Schedule post-mortem within 48 hours",
    "custody:451": "- Assess notification requirements (GDPR 72 hours)",
    "custody:493": "# Monitor for 15 minutes",
    "cryptoorchestrator:242": "- **Critical**: Immediate response required (< 15 minutes)",
    "cryptoorchestrator:243": "- **High**: Response within 1 hour",
    "cryptoorchestrator:244": "- **Medium**: Response within 4 hours",
    "cryptoorchestrator:245": "- **Low**: Response within 24 hours",
    "cryptoorchestrator:264": "2. **Post-Mortem Meeting** (within 48 hours):",
}
# profile, level, its word, the line that says how soon it must be acknowledged
LEVELS = [
    ("linguamate", "P0", "Critical", "linguamate:372"),
    ("linguamate", "P1", "High", "linguamate:378"),
    ("linguamate", "P2", "Medium", "linguamate:384"),
    ("linguamate", "P3", "Low", "linguamate:389"),
    ("aureus", "P0", "Critical", "aureus:18"),
    ("aureus", "P1", "High", "aureus:19"),
    ("aureus", "P2", "Medium", "aureus:20"),
    ("aureus", "P3", "Low", "aureus:21"),
    ("spywatcher", "SEV-1", "Critical", "spywatcher:23"),
    ("spywatcher", "SEV-2", "High", "spywatcher:31"),
    ("spywatcher", "SEV-3", "Medium", "spywatcher:39"),
    ("spywatcher", "SEV-4", "Low", "spywatcher:47"),
    ("custody", "P1", "Critical", "custody:31"),
    ("custody", "P2", "Major", ""),
    ("custody", "P3", "", ""),
    ("cryptoorchestrator", "Critical", "", "cryptoorchestrator:242"),
    ("cryptoorchestrator", "High", "", "cryptoorchestrator:243"),
    ("cryptoorchestrator", "Medium", "", "cryptoorchestrator:244"),
    ("cryptoorchestrator", "Low", "", "cryptoorchestrator:245"),
]
# profile, clock, the line that says how long, the levels for which it runs
CLOCKS = [
    ("linguamate", "post-mortem", "linguamate:471", ["P0", "P1", "P2", "P3"]),
    ("linguamate", "communicate", "aureus:41", ["P0", "P1"]),
    ("aureus", "communicate", "aureus:41", ["P0", "P1"]),
    ("aureus", "mitigate", "aureus:57", ["P0", "P1"]),
    ("aureus", "post-mortem", "aureus:349", ["P0", "P1"]),
    ("aureus", "evidence-pack", "aureus:67", ["P0", "P1", "P2", "P3"]),
    ("custody", "commander", "custody:31", ["P1"]),
    ("custody", "communicate", "custody:36", ["P1"]),
    ("custody", "post-mortem", "custody:128", ["P1"]),
    ("custody", "personal-data", "custody:451", ["P1", "P2", "P3"]),
    ("custody", "watch", "custody:493", ["P1", "P2", "P3"]),
    ("cryptoorchestrator", "post-mortem", "cryptoorchestrator:264", ["Critical", "High", "Medium", "Low"]),
]


def seconds(said: str) -> int | None:
    """The last length of time in a line of a runbook; None where it gives none."""
    if "Immediate, 24/7" in said:
        return 0
    found = re.findall(r"(\d+)\s*(min|hour)", said)
    return int(found[-1][0]) * {"min": MINUTE, "hour": HOUR}[found[-1][1]] if found else None


def covers(source: str, line: str) -> bool:
    """Whether 'aureus:41-44' covers 'aureus:41'."""
    name, _, lines = source.partition(":")
    first, _, last = lines.partition("-")
    return name == line.partition(":")[0] and int(first) <= int(line.partition(":")[2]) <= int(last or first)


def clock(profile: str, level: str, name: str) -> severity.Clock | None:
    return next((one for one in severity.profile(profile).level(level).clocks if one.name == name), None)


def test_what_is_expected_here_stands_in_the_source_runbooks() -> None:
    assert all(seconds(said) is not None for line, said in SAID.items() if line != "spywatcher:47")
    for path in RUNBOOKS.glob("*.md"):  # beside the checkout, where they are
        lines = path.read_text().splitlines()
        for line, said in SAID.items():
            if line.startswith(f"{path.stem}:"):
                assert said in lines[int(line.partition(":")[2]) - 1], line


def test_there_are_the_five_scales_with_their_levels_from_worst_to_mildest() -> None:
    assert severity.profiles() == ("linguamate", "aureus", "spywatcher", "custody", "cryptoorchestrator")
    found = [(name, level.name, level.word) for name in severity.profiles() for level in severity.profile(name).levels]
    assert found == [(profile, level, word) for profile, level, word, _ in LEVELS]


@pytest.mark.parametrize(("profile", "level", "word", "line"), LEVELS)
def test_a_level_must_be_acknowledged_as_soon_as_its_source_says(profile: str, level: str, word: str, line: str) -> None:
    found = clock(profile, level, "acknowledge")
    if not line or seconds(SAID[line]) is None:
        assert found is None
    else:
        assert found is not None
        assert found.seconds == seconds(SAID[line])
        assert covers(found.source, line)


@pytest.mark.parametrize(("profile", "name", "line", "levels"), CLOCKS)
def test_a_clock_runs_as_long_and_for_the_levels_that_its_source_says(
    profile: str, name: str, line: str, levels: list[str]
) -> None:
    with_it = [level.name for level in severity.profile(profile).levels if clock(profile, level.name, name)]
    assert with_it == levels
    found = clock(profile, levels[0], name)
    assert found is not None
    assert found.seconds == seconds(SAID[line])
    assert covers(found.source, line)


def test_every_fact_names_its_source() -> None:
    source = re.compile(r"[a-z]+:\d+(-\d+)?(,\d+(-\d+)?)*")
    for name in severity.profiles():
        profile = severity.profile(name)
        assert source.fullmatch(profile.source)
        assert profile.source.startswith(f"{name}:")
        for level in profile.levels:
            assert level.source.startswith(f"{name}:")
            assert all(source.fullmatch(one.source) for one in level.clocks)


@pytest.mark.parametrize(
    ("profile", "text", "level"),
    [
        ("linguamate", "p1", "P1"),
        ("LinguaMate", "P-1", "P1"),
        ("aureus", "critical", "P0"),
        ("spywatcher", "SEV-1", "SEV-1"),
        ("spywatcher", "sev1", "SEV-1"),
        ("spywatcher", "Sev 2", "SEV-2"),
        ("cryptoorchestrator", "CRITICAL", "Critical"),
        ("custody", "major", "P2"),
    ],
)
def test_a_level_is_found_by_name_or_word_in_any_letter_case(profile: str, text: str, level: str) -> None:
    assert severity.profile(profile).level(text).name == level


@pytest.mark.parametrize("text", ["", "P4", "SEV-1", "urgent", "P", "-", "\x1b[2J", "P1\x00"])
def test_a_level_that_the_scale_does_not_have_is_refused_with_those_that_it_has(text: str) -> None:
    with pytest.raises(Invalid, match=r"--severity: not a severity of aureus; known are P0 \(Critical\), P1 \(High\)"):
        severity.profile("aureus").level(text)


@pytest.mark.parametrize("name", ["", "nosuch", "../aureus", "aureus\n"])
def test_a_scale_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(Invalid, match="severity_profile: not a severity profile; known are linguamate, aureus, spywatcher"):
        severity.profile(name)


def reading(name: str, times: dict[str, datetime], *, personal_data: bool = False, level: str = "P0") -> severity.Reading:
    found = severity.readings(severity.profile("linguamate").level(level), times, NOW, personal_data=personal_data)
    return next(one for one in found if one.clock.name == name)


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def test_a_clock_that_runs_says_how_much_is_left_and_one_that_ran_out_by_how_much() -> None:
    running = reading("acknowledge", {"opened": ago(minutes=5)})
    assert (running.state, running.left) == ("running", 10 * MINUTE)
    overdue = reading("acknowledge", {"opened": ago(minutes=20)})
    assert (overdue.state, overdue.left, overdue.due) == ("overdue", -5 * MINUTE, ago(minutes=5))


def test_a_clock_that_was_stopped_says_whether_that_was_in_time() -> None:
    assert reading("acknowledge", {"opened": ago(hours=2), "acknowledged": ago(minutes=110)}).state == "met"
    late = reading("acknowledge", {"opened": ago(hours=2), "acknowledged": ago(minutes=100)})
    assert (late.state, late.met, late.left) == ("late", ago(minutes=100), None)


def test_the_clock_of_the_authority_runs_only_where_personal_data_may_be_involved() -> None:
    times = {"opened": ago(hours=73)}
    assert reading("personal-data", times).state == "waiting"
    overdue = reading("personal-data", times, personal_data=True)
    assert (overdue.state, overdue.left) == ("overdue", -HOUR)
    assert reading("personal-data", {**times, "authority": ago(hours=30)}, personal_data=True).state == "met"


def test_a_time_to_wait_out_is_over_and_never_overdue() -> None:
    assert reading("watch", {"opened": ago(hours=1)}).state == "waiting"
    assert reading("watch", {"opened": ago(hours=1), "monitoring": ago(minutes=5)}).left == 10 * MINUTE
    assert reading("watch", {"opened": ago(hours=1), "monitoring": ago(minutes=16)}).state == "over"
