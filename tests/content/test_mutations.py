"""What tools/mutations.py would break is there to be broken."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tools.mutations import MUTATIONS, Mutation, broken


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_each_mutation_names_a_function_and_tests_that_there_are(mutation: Mutation) -> None:
    assert mutation.statement in broken((ROOT / mutation.file).read_text(), mutation)
    assert [path for path in mutation.tests if not (ROOT / path).exists()] == []
