"""`rclone serve s3`: a real store that knows neither Object Lock nor versions nor If-None-Match, and answers 200 to all of them."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import processes
from tests.servers.seaweed import KEYS

PROGRAM = Path(sysconfig.get_path("scripts")) / "rclone"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve what is below a folder; give the address."""
    (folder / "data").mkdir()
    [port] = processes.free_ports(1)
    keys = f"{KEYS['aws_access_key_id']},{KEYS['aws_secret_access_key']}"
    options = ["--auth-key", keys, "--addr", f"127.0.0.1:{port}", "--config", str(folder / "config")]
    words = ["serve", "s3", *options, str(folder / "data")]
    process = processes.start(folder, [PROGRAM, *words])
    try:
        processes.wait_for_port(process, int(port), folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop(folder)
