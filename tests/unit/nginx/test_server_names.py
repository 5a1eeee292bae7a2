"""Which server nginx chooses for a name. The order is that of its documentation."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import server_names
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.server_names import Sharing

SERVERS = [
    Sharing(1, ["first.test"], ["listen", "443"]),
    Sharing(2, ["A.test", ".b.test"], ["listen", "443"]),
    Sharing(3, ["a.test", "*.c.b.test", "www.*"], ["listen", "443"]),
    Sharing(4, [r"~^(?<shop>\w+)\.shop\.test$"], ["listen", "443"]),
    Sharing(5, ["_"], ["listen", "443", "default_server"]),
]


@pytest.mark.parametrize(
    ("name", "number"),
    [("a.test", 2), ("b.test", 2), ("x.y.b.test", 2), ("x.c.b.test", 3), ("www.d.test", 3), ("x.shop.test", 4), ("d.test", 5)],
)
def test_the_exact_name_goes_first_and_the_default_last(name: str, number: int) -> None:
    assert server_names.selected(name, SERVERS) == number


def test_an_expression_that_python_does_not_take_is_not_judged() -> None:
    odd = Sharing(4, [r"~^\Qx\E(?|a|b)$"], ["listen", "443"])
    assert server_names.selected("d.test", [*SERVERS[:3], odd, SERVERS[4]]) is None
    assert server_names.selected("a.test", [*SERVERS[:3], odd, SERVERS[4]]) == 2


def test_where_no_server_is_the_default_the_first_is() -> None:
    assert server_names.default(SERVERS[:3]) == 1
