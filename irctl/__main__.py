"""The beginning of irctl: signals are answered, and output has somewhere to go, before anything large is imported."""

from __future__ import annotations

import sys
from typing import NoReturn

from irctl.cli import output
from irctl.errors import INDETERMINATE
from irctl.running import signals


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    output.prepare()
    try:
        signals.install()
        from irctl.cli import app

        app.main()
    except signals.Stopped as stopped:
        sys.exit(output.tell(str(stopped), "indeterminate", INDETERMINATE, sys.argv[1:]))


if __name__ == "__main__":
    main()
