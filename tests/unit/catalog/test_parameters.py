"""Each kind of value: what is taken, what is refused, and the why, typed or in an inventory."""

from __future__ import annotations

import pytest

from irctl.catalog import kinds, parameters
from irctl.catalog.content import OURS
from irctl.catalog.definition import Option
from irctl.errors import Invalid

TAKEN = {
    "lineage": ["shop.example.com", "a", "shop.example.com-0001", ".".join(["x" * 49] * 4)],
    "unit": ["nginx.service", "systemd-fsck@dev-disk-by\\x2duuid.service", "x" * 255, "ssh*"],
    "folder": ["/var/lib/app", "/a", "/srv/evidence/"],
    "root": ["/var/log", "/srv/app/log/"],
    "bucket": ["example-evidence", "a.b", "x" * 63],
    "prefix": ["irctl", "irctl/prod", "a_b.c/d-e"],
    "sha256": ["0" * 64, "aF" * 32],
    "host": ["db1.example.com", "10.0.0.5", "fd00::5", "/var/run/postgresql", "db1,db2", "localhost"],
    "database_name": ["shop", "Shop 2", "a-b.c@d", "ünïcode"],
    "file": ["/etc/pgpass", "~/.pgpass", "pgpass"],
    "line": ["nginx", "inet irctl", "/etc/nginx/nginx.conf:12", "eu-central-1"],
    "endpoint": ["https://store.example.com", "http://127.0.0.1:9000", "https://[fd00::5]:9000/s3"],
}
REFUSED = {
    "lineage": ["", "../../etc", "a/b", ".hidden", "-x", "a\n", "a b", "x" * 300],
    "unit": ["", " ", "a\nb", "x" * 256],
    "folder": ["", "relative", "/", "//", "/.", "/a/../b", "~/x"],
    "root": ["", "/", "//", "/proc", "/sys/kernel", "/dev", "relative", "/var/../etc"],
    "bucket": ["", "A B", "Upper", "ab", "a..b", "-ab", "x" * 64, "a/b"],
    "prefix": ["", "{{ x }}", "a//b", "/a", "a/", "../a", "a b", "x" * 201],
    "host": ["", "postgresql://ops:secret@db1/shop", "host=db1 password=x", "ops@db1", "a b", "/run/../etc", "db1\n"],
    "database_name": [
        "",
        "postgresql://ops:hunter2@db1/shop",
        "postgres://db1/shop",
        "host=db1 password=hunter2",
        "dbname=shop",
        "a\nb",
    ],
    "file": ["", "a\nb", "https://bob:hunter2@example.com/pgpass", "/run/app password=hunter2"],
    "line": ["", "a\nb", "--password=hunter2", "curl -u bob:hunter2 http://a/", "https://bob:hunter2@a/"],
    "endpoint": [
        "",
        "store",
        "https://user:secret@store.example.com",
        "https://user@store",
        "ftp://store",
        "https://",
        "https://a\nb",
    ],
    "sha256": ["", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "\u0660" * 64],
}
CASES = [(kind, value) for kind, values in REFUSED.items() for value in values]


def option(kind: str, type_: str = "str") -> Option:
    return Option("x_y", "--y", type_, "What.", kind=kind)


@pytest.mark.parametrize("kind", TAKEN)
def test_what_fits_is_taken_as_it_is(kind: str) -> None:
    for value in TAKEN[kind]:
        assert parameters.check(option(kind), value) == value
        parameters.check_inventory((option(kind),), {"db1": {"x_y": value}})


@pytest.mark.parametrize(("kind", "value"), CASES)
def test_what_does_not_fit_is_refused_with_a_why_that_names_neither_the_option_nor_the_value(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^\S.*[^)]$") as caught:
        parameters.check(option(kind), value)
    assert "(got" not in str(caught.value)
    assert not str(caught.value).startswith(("root:", "prefix:", "bucket:"))


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, value in CASES if value and "{{" not in value])
def test_an_inventory_is_held_to_the_same_and_a_template_is_left_to_ansible(kind: str, value: str) -> None:
    with pytest.raises(Invalid, match="inventory: x_y of db1: "):
        parameters.check_inventory((option(kind),), {"db1": {"x_y": value}})
    with pytest.raises(Invalid, match="inventory: x_y of db1: "):
        parameters.check_inventory((option(kind, "list"),), {"db1": {"x_y": [value]}})
    parameters.check_inventory((option(kind),), {"db1": {"x_y": "{{ elsewhere }}"}})


@pytest.mark.parametrize("value", [7, None, [], True, {"a": 1}, "a\0b"])
@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_no_text_is_of_no_kind(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parameters.check(option(kind), value)


def test_every_kind_is_tried_here_or_with_the_values_that_it_is_made_of() -> None:
    assert {*TAKEN, "duration", "name", "path", "network"} == {*kinds.names(OURS)}


def test_a_password_in_an_address_is_not_repeated() -> None:
    for kind, address in (("endpoint", "https://ops:hunter2@store.example.com"), ("host", "postgresql://ops:hunter2@db1/shop")):
        with pytest.raises(Invalid) as caught:
            parameters.check_inventory((option(kind),), {"db1": {"x_y": address}})
        assert "hunter2" not in str(caught.value)
        assert "ops:***@" in str(caught.value)


@pytest.mark.parametrize("value", ["postgresql://ops:hunter2@db1/shop", "host=db1 password=hunter2", "password='hunter2 x'"])
def test_a_password_where_none_belongs_is_not_said_again(value: str) -> None:
    with pytest.raises(Invalid) as caught:
        parameters.check_inventory((option("database_name"),), {"db1": {"x_y": value}})
    assert "hunter2" not in str(caught.value)
