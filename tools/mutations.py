"""python -m tools.mutations [WORD...]: break a guard, a proof, a seal or a revert on purpose, and say which test finds it.

Each is broken in this checkout, tests are run until one fails, and the file is put back. Files with changes of your own are left
alone. With words, only what has one of them in its line. Exit 1 where something broken was not found.
"""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
UTILS = "plugins/module_utils"
UNIT, INTEGRATION = "tests/unit", "tests/integration"


class Mutation(NamedTuple):
    """`statement` is put before everything that a function does. Some of `tests` must fail then; quick ones come first."""

    kind: str
    file: str
    function: str
    statement: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}: {self.file} {self.function}: {self.statement}"


FREEZE = (f"{UNIT}/postgres/test_writes.py", f"{INTEGRATION}/postgres/test_db_freeze_writes.py")
LEASES = (f"{INTEGRATION}/leases/test_leases.py",)
ON_HOSTS = (f"{INTEGRATION}/leases/test_leases_on_hosts.py", f"{INTEGRATION}/leases/test_leases_ended_by_hosts.py")
RECORD = (f"{UNIT}/record",)
MUTATIONS = [
    Mutation("guard", f"{UTILS}/postgres/blockers.py", "refusals", "return []", (f"{UNIT}/postgres/test_blockers.py",)),
    Mutation("guard", f"{UTILS}/postgres/indexes.py", "refusals", "return []", (f"{UNIT}/postgres/test_indexes.py",)),
    Mutation("proof", f"{UTILS}/postgres/indexes.py", "leftovers", "return []", (f"{INTEGRATION}/postgres/test_db_index.py",)),
    Mutation("proof", f"{UTILS}/postgres/dumps.py", "differences", "return []", (f"{UNIT}/postgres/test_dumps.py",)),
    Mutation("guard", f"{UTILS}/redis/server_info.py", "objections", "return []", (f"{UNIT}/redis/test_server_info.py",)),
    Mutation("guard", f"{UTILS}/redis/server_info.py", "user_objections", "return []", (f"{UNIT}/redis/test_server_info.py",)),
    Mutation("guard", f"{UTILS}/redis/key_names.py", "includes", "return True", (f"{UNIT}/redis/test_key_names.py",)),
    Mutation("proof", f"{UTILS}/redis/key_records.py", "unlike", "return True", (f"{UNIT}/redis/test_key_records.py",)),
    Mutation("guard", f"{UTILS}/postgres/sessions.py", "refusals", "return []", (f"{UNIT}/postgres/test_sessions.py",)),
    Mutation("guard", f"{UTILS}/edge/block_list.py", "protected_overlaps", "return []", (f"{UNIT}/edge/test_block_list.py",)),
    Mutation("guard", "irctl/leases/register.py", "require_no_other", "return", LEASES),
    Mutation("guard", f"{UTILS}/host/leases.py", "clash", 'return ""', (f"{UNIT}/host/test_leases.py", *ON_HOSTS)),
    Mutation(
        "guard", "irctl/approvals/comparison.py", "difference", 'return ""', (f"{UNIT}/approvals", f"{INTEGRATION}/approvals")
    ),
    Mutation(
        "guard", f"{UTILS}/archive/abilities.py", "require_object_lock", "return", (f"{INTEGRATION}/archive/test_other_stores.py",)
    ),
    Mutation("proof", f"{UTILS}/postgres/writes.py", "doubt", 'return ""', FREEZE),
    Mutation("proof", f"{UTILS}/archive/holdings.py", "unproved", "return []", (f"{INTEGRATION}/archive/test_archive_proof.py",)),
    Mutation("seal", "irctl/record/contents.py", "file_differences", "return []", RECORD),
    Mutation("seal", "irctl/record/journal_lines.py", "_chained", "return len(actual)", RECORD),
    Mutation("seal", "irctl/orders/revert.py", "require_as_sealed", "return", LEASES),
    Mutation("revert", f"{UTILS}/postgres/writes.py", "objections", "return []", FREEZE),
    Mutation("revert", f"{UTILS}/moments.py", "elapsed", "return end.utc - start.utc", LEASES),
    Mutation("revert", f"{UTILS}/moments.py", "may_try", "return True", LEASES),
]


def broken(source: str, mutation: Mutation) -> str:
    """The source with the mutation in it. Raises LookupError where there is no such function."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and node.name == mutation.function
    ]
    if len(functions) != 1:
        raise LookupError(f"{mutation.file} has {len(functions)} functions {mutation.function}")
    [function] = functions
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    lines = source.splitlines(keepends=True)
    lines.insert(first.lineno - 1, f"{' ' * first.col_offset}{mutation.statement}\n")
    return "".join(lines)


@contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """Have it in the checkout for a while. Raises LookupError, also where the file has changes that are not committed."""
    path = ROOT / mutation.file
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", mutation.file], cwd=ROOT).returncode:
        raise LookupError(f"{mutation.file} has changes that are not committed")
    source = path.read_text()
    path.write_text(broken(source, mutation))
    try:
        yield
    finally:
        path.write_text(source)


def first_to_fail(tests: Sequence[str]) -> str:
    """The test that fails first, or ''. Raises LookupError where the tests were cut short."""
    words = [sys.executable, "-m", "pytest", "-x", "--tb=no", "-rfE", *tests]
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if not failed and done.returncode:
        raise LookupError(f"the tests ended with {done.returncode}, and named none that failed")
    return failed[1] if failed else ""


def _tried(mutation: Mutation) -> tuple[bool, str]:
    """Whether a test finds it, and which one or why none could."""
    try:
        with applied(mutation):
            finder = first_to_fail(mutation.tests)
    except LookupError as error:
        return False, f"NOT TRIED: {error}"
    return bool(finder), f"found by {finder}" if finder else "NOT FOUND"


def main(words: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the file is put back
    missed = 0
    for mutation in MUTATIONS:
        if words and not any(word in str(mutation) for word in words):
            continue
        found, how = _tried(mutation)
        missed += not found
        print(f"{mutation}\n  {how}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
