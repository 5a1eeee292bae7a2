"""What tools/mutations.py breaks on purpose is there to be broken, and there are tests to find it."""

from __future__ import annotations

import pytest

from tests.content.conftest import ROOT
from tools.mutations import MUTATIONS, Mutation, broken


def test_a_guard_a_proof_a_seal_and_a_revert_are_among_them() -> None:
    assert {one.kind for one in MUTATIONS} == {"guard", "proof", "seal", "revert"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_each_changes_one_function_and_has_tests_to_find_it(mutation: Mutation) -> None:
    source = (ROOT / mutation.file).read_text()
    lines = broken(source, mutation).splitlines()
    compile("\n".join(lines), mutation.file, "exec")
    assert set(lines) - set(source.splitlines()) <= {line for line in lines if line.strip() == mutation.statement}
    assert len(lines) == len(source.splitlines()) + 1
    assert [path for path in mutation.tests if not (ROOT / path).exists()] == []
