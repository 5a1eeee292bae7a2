"""What a command imports before it answers: nothing that it can do without. Times are measured by benchmarks/."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Irctl

SLOW = {"yaml", "platformdirs", "ansible", "ansible_runner", "psycopg", "boto3", "redis", "rich", "jsonschema", "psutil"}
SCRIPT = """
import io, json, sys
from irctl.__main__ import main

sys.argv[1:], out, sys.stdout = {words!r}, sys.stdout, io.StringIO()
try:
    main()
except SystemExit:
    print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=out)
"""


COMPLETES = """
import io, json, os, sys
from irctl.__main__ import main

os.environ.update(_IRCTL_COMPLETE="bash_complete", COMP_WORDS={line!r}, COMP_CWORD="{at}")
sys.argv[1:], out, sys.stdout = [], sys.stdout, io.StringIO()
try:
    main()
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=out)
"""


@pytest.mark.parametrize(
    "line", ["irctl leases end ", "irctl revert ", "irctl runs ", "irctl evidence verify ", "irctl lab fault "]
)
def test_tab_imports_nothing_that_carries_out_a_run(irctl: Irctl, line: str) -> None:
    done = irctl.python(COMPLETES.format(line=line, at=line.count(" ")))
    loaded = json.loads(done.out.splitlines()[-1])
    assert not {"irctl.orders.execution", "irctl.running.engine", "irctl.catalog.closure", *SLOW} & set(loaded)
    assert "irctl.cli.completions" in loaded


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["remediate", "db-connections", "--help"], set()),
        (["remediate", "--help"], {"yaml"}),
        (["incident", "--help"], set()),
        (["runs", "--help"], set()),
        (["evidence", "--help"], set()),
    ],
)
def test_help_imports_nothing_that_it_can_do_without(irctl: Irctl, words: list[str], needed: set[str]) -> None:
    done = irctl.python(SCRIPT.format(words=words))
    assert set(json.loads(done.out.splitlines()[-1])) & SLOW == needed, done
