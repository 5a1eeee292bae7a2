"""How the tests are shared out and told, held against the tests that there are."""

from __future__ import annotations

from tests.content.conftest import ROOT
from tests.schedule import FIRST, rank, together
from tests.timings import area


def test_what_takes_longest_is_there_and_stands_before_what_holds_it() -> None:
    assert [name for name in FIRST if not (ROOT / name).exists()] == []
    assert [rank(name) for name in FIRST] == [*range(len(FIRST))]


def test_what_shares_a_server_of_its_file_stays_together_and_the_rest_is_shared_out() -> None:
    drills = together("tests/integration/drills/test_drills.py")
    assert "test_each_of_its_steps_has_a_sealed_record_that_says_drill" in drills, "one drill for all of them"
    assert "test_a_remediation_that_mends_nothing_is_not_fixed" not in drills
    assert "test_a_reboot_of_the_host_does_not_keep_it_on" in together("tests/integration/leases/test_leases_ended_by_hosts.py")
    assert "test_the_journal_of_a_unit_is_its_own" in together("tests/integration/capture/test_capture_evidence.py"), "test hosts"


def test_a_test_counts_for_the_room_that_it_tests() -> None:
    assert (
        area("tests/unit/leases/test_stops.py::test_one[a::b]") == area("tests/integration/leases/test_leases.py::test") == "leases"
    )
    assert area("tests/integration/test_molecule.py::test_a_scenario") == "molecule"
    assert area("tests/cli/test_help.py::test") == "cli"
