"""The report of drills as a page: it stands alone, what comes from outside is inert, and it overwrites nothing of anybody's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from irctl.drills import chart, report
from irctl.drills.history import Drill, Due
from irctl.drills.report import Report
from irctl.errors import Invalid, Refused

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m{{ 7 * 7 }}"
LONG = "a-host-with-a-very-long-name-indeed-that-goes-on.eu-central-1.compute.internal.example"
VOID = {"meta", "link", "br", "img", "input", "hr"}


def drill(days: float, verdict: str = "fixed", remediation: str = "db-connections", host: str = "db1", **more: Any) -> Drill:
    started = f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%S}.000000Z"
    times = {"detect": 1.2, "mitigate": 5.0 + days / 100} if verdict == "fixed" else {"detect": None, "mitigate": None}
    about = {"by": "ana", "seconds": 12.0, "steps": (), "scheduled": True, **times, **more}
    return Drill("INC-2026-1121-001", remediation, (host,), started=started, verdict=verdict, **about)


def due(last: Drill | None, *, overdue: bool = False, remediation: str = "db-connections", host: str = "db1") -> Due:
    return Due(remediation, host, 30 * 86400, last, NOW + timedelta(days=9), overdue)


def many() -> Report:
    held = [drill(days) for days in range(300, 0, -30)]
    held += [drill(5, verdict) for verdict in ("not fixed", "worse", "hit the wrong thing", "nothing to do", "unknown", "")]
    held += [
        drill(3, remediation="block-ip", host=LONG, mitigate=900.0),
        drill(2, "unknown", "block-ip", "h2", why="no answer " * 30),
    ]
    late = due(None, overdue=True, remediation="rotate-secret", host="")
    return report.report(held, [due(held[-3]), late], NOW)


class Strict(HTMLParser):
    """Refuses what a browser would forgive: a tag that is not closed, an attribute or an id that is there twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [found["id"] for _, found in self.tags if "id" in found]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), tag
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


def test_every_drill_is_one_dot_and_one_row_of_the_table_beneath_it() -> None:
    found = many()
    page = Strict(report.page(found, Path("/home")))
    dots = [one for one in page.named("g") if str(one.get("class")).startswith("drill ")]
    rows = [one for one in page.named("td") if one.get("data-label") == "Held (UTC)"]
    assert len(dots) == len(rows) == len(found.held) == 18


def test_every_drawing_has_a_title_and_a_description_or_says_nothing() -> None:
    text = report.page(many(), Path("/home"))
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        root = ET.fromstring(drawing)
        if root.get("aria-hidden") != "true":
            title, says = (root.find(part) for part in ("title", "desc"))
            assert root.get("role") == "img"
            assert title is not None
            assert says is not None
            assert root.get("aria-labelledby") == f"{title.get('id')} {says.get('id')}"


def test_the_page_loads_nothing_and_allows_itself_nothing_but_its_own_style() -> None:
    text = report.page(many(), Path("/home"))
    page = Strict(text)
    assert not {"script", "img", "iframe", "object", "form", "link"} & {tag for tag, _ in page.tags}
    assert all(str(link["href"]).startswith("#") for link in page.named("a"))
    assert not [found for _, found in page.tags if {"src", "style"} & set(found) or any(name.startswith("on") for name in found)]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    [policy] = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_what_comes_from_outside_is_inert_wherever_it_stands() -> None:
    bad = drill(1, EVIL, EVIL, EVIL, by=EVIL, why=EVIL)
    text = report.page(report.report([bad], [due(bad, remediation=EVIL, host=EVIL)], NOW), Path(f"/{EVIL}"))
    assert not {"script", "img"} & {tag for tag, _ in Strict(text).tags}
    assert "\x1b" not in text
    assert "49" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert text.count("&lt;script&gt;alert(1)") >= 6


def test_a_report_without_any_drill_is_a_page_too() -> None:
    assert "nothing was drilled" in report.page(report.report([], [], NOW), Path("/home"))


def test_what_needs_somebody_stands_first_and_an_overdue_one_says_so() -> None:
    late = due(old := drill(60), overdue=True, remediation="zz", host="db1")
    found = report.report([old, drill(2, "worse", "yy"), drill(1)], [due(drill(1)), late], NOW)
    assert [place.remediation for place in found.places] == ["zz", "yy", "db-connections"]
    assert '<strong class="overdue">overdue' in report.page(found, Path("/home"))
    assert (found.overdue, found.fixed, found.judged) == (1, 2, 3)


def test_only_the_period_is_counted_and_the_last_drill_before_it_is_still_named() -> None:
    old = drill(60)
    found = report.report([old], [due(old)], NOW, timedelta(days=30))
    assert (found.held, found.places[0].last, found.median("detect")) == ((), old, (None, 0))


def test_the_median_is_of_the_last_twenty_that_measured() -> None:
    held = [drill(100 - number, mitigate=float(number)) for number in range(1, 31)] + [drill(1, "unknown")]
    assert report.report(held, [], NOW).median("mitigate") == (20.5, 20)


@pytest.mark.parametrize("times", [(0.01, 0.02), (1.0, 1.0), (0.3, 900.0), (2.0, 200_000.0)])
def test_whatever_was_measured_stands_on_the_field_and_labels_do_not_touch(times: tuple[float, float]) -> None:
    found = chart.chart([drill(2, detect=times[0], mitigate=times[1]), drill(1, "unknown")])
    heights = [tick.at for tick in found.up]
    assert len(heights) >= 2
    assert all(low - high >= chart.APART for low, high in pairwise(heights))
    for dot in found.dots:
        assert 0 <= dot.x <= 100
        assert chart.TOP <= dot.y <= found.lane_at
    assert len(found.across) > 1


def test_drills_of_one_day_are_spread_over_the_axis_and_dated_with_their_times() -> None:
    found = chart.chart([drill(0.2 + number / 100) for number in range(8)])
    places = [dot.x for dot in found.dots]
    assert (places[0], places[-1]) == (chart.EDGE, 100 - chart.EDGE)
    assert all(after - before > 10 for before, after in pairwise(places))
    assert (found.across[0].label, found.across[-1].label) == ("21 Nov 03:01", "21 Nov 04:42")


@pytest.mark.parametrize("number", [2, 6, 25, 300])
def test_drills_of_one_day_do_not_hide_each_other_beside_one_of_long_ago(number: int) -> None:
    found = chart.chart([drill(300), *(drill(1 + share / 1e6) for share in range(number))])
    places = [dot.x for dot in found.dots]
    room = (100 - 2 * chart.EDGE) * min(chart.DRILLS_APART, 1 / number)
    assert all(after - before >= room - 0.02 for before, after in pairwise(places))
    assert (places[0], places[-1]) == (chart.EDGE, 100 - chart.EDGE)


def test_a_single_drill_and_drills_of_one_moment_have_places_too() -> None:
    assert [dot.x for dot in chart.chart([drill(1)]).dots] == [50.0]
    assert len({dot.x for dot in chart.chart([drill(1), drill(1), drill(1)]).dots}) == 3
    assert len(chart.chart([drill(1), drill(1)]).across) == 1, "one date is enough"


def test_each_date_stands_below_a_drill_that_was_held_then_and_none_touches_another() -> None:
    found = chart.chart([drill(days) for days in (290, 200, 120, 60, 3, 2, 1)])
    assert {tick.at for tick in found.across} <= {dot.x for dot in found.dots}
    assert all(after.at - before.at >= chart.DATES_APART * 100 for before, after in pairwise(found.across))


def test_seconds_are_told_as_a_person_says_them() -> None:
    told = [chart.seconds(took) for took in (None, 0.084, 1.26, 12.4, 59.6, 125, 3600)]
    assert told == ["–", "0.084 s", "1.3 s", "12 s", "1 min", "2 min 5 s", "1 h"]


def test_an_earlier_report_is_written_over_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "drills.html"
    text = report.page(many(), tmp_path)
    report.write(path, text)
    report.write(path, text + "\n")
    assert (path.read_text(), path.stat().st_mode & 0o777) == (text + "\n", 0o600)
    path.write_text("somebody else's\n")
    with pytest.raises(Refused, match="not a drill report; --force writes over it"):
        report.write(path, text)
    assert path.read_text() == "somebody else's\n"
    report.write(path, text, force=True)
    beside = tmp_path / f"{path.name}.new"
    beside.write_text("mine")
    with pytest.raises(Refused, match="is in the way"):
        report.write(path, text, force=True)
    assert beside.read_text() == "mine"
    assert path.read_text() == text


def test_a_link_and_a_folder_are_refused_and_a_folder_that_is_missing_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(report.MARK)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("link", "."):
        with pytest.raises(Refused):
            report.write(tmp_path / name, "page")
    with pytest.raises(Invalid, match="--html: no such file or directory"):
        report.write(tmp_path / "no" / "drills.html", "page")
    assert (tmp_path / "elsewhere").read_text() == report.MARK


MEASURE = """<!doctype html><iframe width="{width}" height="4000" src="report.html"></iframe><pre></pre><script>
document.querySelector("iframe").onload = (loaded) => {{
  const page = loaded.target.contentDocument, root = page.documentElement;
  const drawn = getComputedStyle(page.querySelector("h2")).fontSize;
  const dots = page.querySelectorAll("g.drill").length, out = [...page.querySelectorAll("tbody td, tbody th, h3, svg, dd")];
  const edge = (one) => (one.closest("article, section > table") || root).getBoundingClientRect().right;
  const beyond = out.filter((one) => one.getBoundingClientRect().right > edge(one) + 1).map((one) => one.textContent);
  const card = (one) => one.closest("article"), width = (one) => one.getBoundingClientRect().width;
  const charts = [...page.querySelectorAll(".chart")], below = charts.filter((one) => width(one) > width(card(one)) / 2);
  const narrow = below.filter((one) => width(one) < width(card(one)) - 60).length, beside = charts.length - below.length;
  const seen = {{wide: root.scrollWidth, has: root.clientWidth, dots, beyond, drawn, narrow, beside}};
  document.querySelector("pre").textContent = JSON.stringify(seen);
}};
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="apt-get install chromium")
@pytest.mark.parametrize("width", [390, 900, 1280])
def test_a_browser_shows_all_of_it_within_the_width_of_a_phone_and_complains_of_nothing(tmp_path: Path, width: int) -> None:
    (tmp_path / "report.html").write_text(report.page(many(), tmp_path))
    (tmp_path / "measure.html").write_text(MEASURE.format(width=width))
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr"]
    words += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        f"file://{tmp_path}/measure.html",
    ]
    done = subprocess.run(["chromium", *words], capture_output=True, text=True, timeout=100)
    told = re.search(r"<pre>(\{.*\})</pre>", done.stdout)
    assert told, done.stderr[-2000:]
    seen = json.loads(told[1])
    assert "CONSOLE" not in done.stderr, done.stderr
    assert (seen["wide"], seen["beyond"]) == (seen["has"], [])
    assert (seen["dots"], seen["drawn"]) == (18, "18px"), "the style is in force"
    assert (seen["narrow"], seen["beside"] > 0) == (0, width > 1080), "a chart has the width of its card, or its table beside it"
