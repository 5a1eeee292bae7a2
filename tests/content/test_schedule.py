"""How the tests are shared out and told, held against the tests that there are."""

from __future__ import annotations

from tests.content.conftest import ROOT
from tests.schedule import FIRST, rank, shares_servers
from tests.timings import area


def test_what_takes_longest_is_there_and_stands_before_what_holds_it() -> None:
    assert [name for name in FIRST if not (ROOT / name).exists()] == []
    assert [rank(name) for name in FIRST] == [*range(len(FIRST))]


def test_a_file_whose_tests_share_a_server_stays_in_one_piece() -> None:
    assert shares_servers("tests/integration/certificates/test_renew_certificate.py"), "a fixture of its module"
    assert shares_servers("tests/integration/capture/test_capture_evidence.py"), "test hosts"
    assert not shares_servers("tests/integration/postgres/test_db_connections.py")


def test_a_test_counts_for_the_room_that_it_tests() -> None:
    assert (
        area("tests/unit/leases/test_stops.py::test_one[a::b]") == area("tests/integration/leases/test_leases.py::test") == "leases"
    )
    assert area("tests/integration/test_molecule.py::test_a_scenario") == "molecule"
    assert area("tests/cli/test_help.py::test") == "cli"
