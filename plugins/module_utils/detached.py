"""Start a process that outlives the module which starts it: it reads a plan on standard input and says 'ready'."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.programs import pipe
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable


def start(program: str, plan: dict[str, Any], what: str) -> None:
    """Run the Python file `program` with the plan until it says 'ready'. Raises Failure with `what`, and why, where it ends."""
    process = subprocess.Popen(
        [sys.executable, "-P", program],  # the file's folder may be gone by then, and made again by somebody else
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    order, answer, errors = pipe(process.stdin), pipe(process.stdout), pipe(process.stderr)
    order.write(json.dumps(plan))
    order.close()
    if answer.readline().strip() != "ready":
        said = errors.read().strip().splitlines()[-1:] or ["no reason was given"]
        raise Failure(f"{what}: {printable(said[0])}")
    answer.close()
    errors.close()
