"""Which lifecycle rules end an object, and when."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import lifecycle
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.lifecycle import DAY, Rule

NOW = 1_800_000_000.0
OPEN = '<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


def _parsed(*rules: str) -> list[Rule] | None:
    return lifecycle.parse(f"{OPEN}{''.join(f'<Rule>{rule}</Rule>' for rule in rules)}</LifecycleConfiguration>".encode())


ON, DAYS = "<ID>r</ID><Status>Enabled</Status>", "<Expiration><Days>30</Days></Expiration>"


@pytest.mark.parametrize(
    ("rule", "prefix"),
    [
        (f"{ON}<Filter><Prefix>a/</Prefix></Filter>{DAYS}", "a/"),
        (f"{ON}<Prefix>a/</Prefix>{DAYS}", "a/"),
        (f"{ON}<Filter/>{DAYS}", ""),
        (f"{ON}<Filter><And><Prefix>a/</Prefix><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>{DAYS}", "a/"),
        (f"{ON}<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>{DAYS}", ""),
    ],
    ids=["filter", "of old", "everything", "and", "size"],
)
def test_a_rule_is_for_what_begins_with_its_prefix_however_that_is_written(rule: str, prefix: str) -> None:
    assert _parsed(rule) == [Rule("r", prefix, days=30)]


@pytest.mark.parametrize(
    "rule",
    [
        f"<Status>Disabled</Status><Filter/>{DAYS}",
        f"{ON}<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
        f"{ON}<Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        f"{ON}<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        f"{ON}<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>{DAYS}",
        f"{ON}<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
    ],
    ids=["disabled", "moved", "parts", "markers", "tagged", "older versions"],
)
def test_a_rule_that_ends_no_object_of_ours_is_none(rule: str) -> None:
    assert _parsed(rule) == []


@pytest.mark.parametrize("rule", ["<Date>soon</Date>", "<Days>many</Days>"])
def test_a_configuration_that_cannot_be_judged_is_not_taken_for_none(rule: str) -> None:
    assert _parsed(f"{ON}<Filter/><Expiration>{rule}</Expiration>") is None
    assert lifecycle.parse(b"<ListBucketResult></ListBucketResult>") is None
    assert lifecycle.parse(b"no XML") is None


def test_an_object_ends_so_many_days_after_it_was_made_or_on_a_day() -> None:
    [by_days] = _parsed(f"{ON}<Filter/>{DAYS}") or []
    [by_date] = _parsed(f"{ON}<Filter/><Expiration><Date>2027-01-16T00:00:00.000Z</Date></Expiration>") or []
    assert by_days.end_of("k", NOW) == NOW + 30 * DAY
    assert by_date.end_of("k", NOW) == 1_800_057_600.0


@pytest.mark.parametrize(
    ("made", "until", "early"),
    [
        (NOW, NOW + 29 * DAY, False),
        (NOW, NOW + 31 * DAY, True),
        (NOW - 10 * DAY, NOW + 29 * DAY, True),
        (NOW, 0, True),
        (NOW - 20 * DAY, NOW - DAY, True),
    ],
    ids=["after its retention", "before it", "an older object", "not retained", "no longer retained"],
)
def test_an_end_before_the_retention_or_within_a_year_without_one_is_too_early(made: float, until: float, early: bool) -> None:
    rules = [Rule("r", "a/", days=30)]
    assert (lifecycle.too_early(rules, "a/k", made, until, NOW) is not None) is early
    assert lifecycle.too_early(rules, "b/k", made, until, NOW) is None
