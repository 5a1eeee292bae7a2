"""The steps of block-ip on a list in memory: what each does, says and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list as lists
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.modules import block_list

PARAMS: dict[str, Any] = {
    "addresses": ["91.1.2.3"], "protected": ["91.9.0.0/16"], "protected_none": False, "allow_private": False,
    "widest_v4": 24, "widest_v6": 48, "limit": 10_000, "drills": None,
}  # fmt: skip
PLACE = {"backend": "wafv2", "name": "blocked"}


def nets(*texts: str) -> frozenset[networks.Network]:
    return frozenset(map(networks.parse, texts))


class Place:
    """A backend that is a set in memory."""

    def __init__(self, entries: frozenset[networks.Network], lacks: list[str] | None = None, soon: int = 0) -> None:
        self.entries, self.lacks, self.soon, self.calls = set(entries), lacks or [], soon, list[str]()
        self.cannot, self.doubted, self.stale = "", list[Doubt](), False

    def read(self) -> Blocked:
        expires = dict.fromkeys(self.entries, self.soon) if self.soon else {}
        return Blocked(frozenset(self.entries), PLACE, expires=expires)

    def protected(self) -> lists.Protected:
        return {networks.parse("91.7.0.0/16"): "a load balancer of ours"}

    def shortcomings(self) -> list[str]:
        return self.lacks

    def is_stale(self) -> bool:
        return self.stale

    def doubts(self) -> list[Doubt]:
        return self.doubted

    def prepare(self, check_mode: bool) -> None:
        if self.cannot:
            raise Failure(self.cannot)
        if not check_mode:
            self.calls.append("ready")
            self.lacks = []

    def write(self, add: frozenset[networks.Network], remove: frozenset[networks.Network], seconds: int | None) -> None:
        self.calls.append("write")
        self.entries = (self.entries | add) - remove


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    defaults = {name: about.get("default") for name, about in block_list.ARGUMENTS.items()}

    def do(place: Place, state: str, *addresses: str, check: bool = False, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(block_list, "_backend", lambda params: place)
        params = {**defaults, **PARAMS, "backend": "wafv2", "state": state, "addresses": list(addresses), **more}
        return block_list.run(params, check)

    return do


def test_a_dry_run_says_what_would_be_done_and_does_nothing(step: Any) -> None:
    place = Place(nets("91.1.2.3"), ["It blocks nothing."])
    done = step(place, "changed", "91.1.2.3", "91.1.2.4", check=True, create_rule=True)
    assert (done["changed"], done["msg"]) == (True, "1 address would be blocked, what blocks them would be made")
    assert step(place, "changed", "91.1.2.3", check=True)["changed"] is False
    assert "It blocks nothing." in step(place, "proved", "91.1.2.4", check=True)["in_short"]
    assert place.calls == []


def test_a_dry_run_says_too_that_what_is_missing_cannot_be_made(step: Any) -> None:
    place = Place(nets(), ["It blocks nothing."])
    place.cannot = "No web ACL is named."
    for check in (True, False):
        with pytest.raises(Failure, match="No web ACL is named"):
            step(place, "changed", "91.1.2.4", check=check, create_rule=True)
    assert place.calls == []


@pytest.mark.parametrize("state", ["captured", "changed", "proved", "removed"])
def test_what_cannot_be_read_is_never_passed_over(step: Any, state: str) -> None:
    place = Place(nets("91.1.2.3"))
    for address in ("91.1.2.3/33", "attacker.example.com", "91.1.2.3/24"):
        with pytest.raises(Failure, match=f"'{address}': .*Nothing was changed"):
            step(place, state, "91.1.2.3", address, found={"add": [], "entries": [], "place": PLACE})
    assert place.calls == []


def test_nothing_is_added_that_no_revert_would_take_out(step: Any) -> None:
    """It was in the list when this run captured what it adds; another run's lease has ended since."""
    place = Place(nets("91.1.2.3"))
    found = step(place, "listed", "91.1.2.3", "91.1.2.4")["found"]
    place.entries = set()
    with pytest.raises(Failure, match=r"^91\.1\.2\.3 was in the list a moment ago and has left it\. Run it again\. Nothing was "):
        step(place, "changed", "91.1.2.3", "91.1.2.4", found=found)
    assert place.calls == []


def test_what_makes_the_list_take_effect_is_made_before_it_is_written(step: Any) -> None:
    place = Place(nets(), ["It blocks nothing."])
    assert step(place, "changed", "91.1.2.4", create_rule=True)["msg"] == "1 address blocked, what blocks them made"
    assert place.calls == ["ready", "write"]


def test_the_change_itself_refuses_too(step: Any) -> None:
    place = Place(nets())
    for address in ("10.0.0.1", "91.9.1.1", "91.7.1.1", "0.0.0.0/0"):
        with pytest.raises(Failure, match=r"Nothing was changed\."):
            step(place, "changed", address)
    assert place.calls == []


def test_an_entry_that_goes_by_itself_is_told(step: Any) -> None:
    found = step(Place(nets("91.1.2.3"), soon=90), "proved", "91.1.2.3")
    assert found["in_short"] == "1 in the list, 1 address of them only for 90 s and more"
    within = step(Place(nets("91.1.2.0/24"), soon=5), "proved", "91.1.2.3")
    assert within["in_short"] == "1 in the list, 1 address of them only for 5 s and more"


def test_a_list_without_effect_and_a_missing_address_are_failures(step: Any) -> None:
    with pytest.raises(Failure, match=r"1 address is in the list\. It blocks nothing\."):
        step(Place(nets("91.1.2.3"), ["It blocks nothing."]), "proved", "91.1.2.3")
    with pytest.raises(Failure, match=r"Not in the list: 91\.1\.2\.4\."):
        step(Place(nets("91.1.2.3")), "proved", "91.1.2.3", "91.1.2.4")


def test_nothing_ever_means_all_of_them(step: Any) -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        step(Place(nets()), "changed")


def test_what_cannot_be_judged_is_no_proof_until_a_person_vouches_for_its_place(step: Any) -> None:
    place = Place(nets("91.1.2.3"))
    place.doubted = [Doubt("js_access main.check", "/etc/nginx/nginx.conf:7", "it decides too")]
    with pytest.raises(Undecided, match=r"This cannot be judged, because of 'js_access main.check' in /etc/nginx/nginx.conf:7"):
        step(place, "proved", "91.1.2.3")
    assert "/etc/nginx/nginx.conf:7" in step(place, "listed", "91.1.2.3")["msg"]
    assert "/etc/nginx/nginx.conf:7" in step(place, "proved", "91.1.2.3", check=True)["in_short"]
    assert step(place, "proved", "91.1.2.3", vouched=["/etc/nginx/nginx.conf:7"])["msg"] == "1 address blocked"


def test_a_list_that_may_not_be_in_effect_is_written_again_and_nothing_of_it_counts_as_added(step: Any) -> None:
    place = Place(nets("91.1.2.3"))
    place.stale = True
    assert step(place, "listed", "91.1.2.3")["found"]["add"] == []
    assert step(place, "changed", "91.1.2.3", check=True)["msg"] == "blocked already, the list would be loaded again"
    assert place.calls == []
    done = step(place, "changed", "91.1.2.3")
    assert (done["changed"], done["msg"], place.calls) == (True, "blocked already, the list loaded again", ["write"])
