"""How a guard, a proof, a seal and a revert are broken on purpose."""

from __future__ import annotations

import pytest

from tools.mutations import MUTATIONS, Mutation, broken

SOURCE = '''
class Gate:
    def refusals(state):
        """Say why not."""
        said = []
        return said
'''


def test_a_guard_a_proof_a_seal_and_a_revert_are_among_them() -> None:
    assert {mutation.kind for mutation in MUTATIONS} == {"guard", "proof", "seal", "revert"}


def test_a_function_is_broken_before_it_does_anything() -> None:
    lines = broken(SOURCE, Mutation("guard", "gate.py", "refusals", "return []", ())).splitlines()
    assert lines[4] == "        return []"
    assert [*lines[:4], *lines[5:]] == SOURCE.splitlines()


def test_what_is_not_there_cannot_be_broken() -> None:
    with pytest.raises(LookupError, match="has 0 functions prove"):
        broken(SOURCE, Mutation("proof", "gate.py", "prove", "return []", ()))
