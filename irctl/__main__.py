"""The beginning of irctl: signals are answered, and output has somewhere to go, before anything large is imported."""

from __future__ import annotations

import sys
from typing import NoReturn

from irctl import output, signals
from irctl.errors import INDETERMINATE


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    output.prepare()
    try:
        signals.install()
        from irctl import cli

        cli.main()
    except signals.Stopped as stopped:
        sys.exit(output.say(str(stopped), "indeterminate", INDETERMINATE, sys.argv[1:]))


if __name__ == "__main__":
    main()
