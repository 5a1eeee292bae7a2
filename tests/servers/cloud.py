"""A moto server on loopback: AWS, as far as moto is AWS."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.servers import processes


def start(folder: Path, **environment: str) -> str:
    """Start one that keeps everything below a folder, and give its address."""
    [port] = processes.free_ports(1)
    process = processes.start(folder, [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port], **environment)
    url = f"http://127.0.0.1:{port}"
    processes.wait_for(process, f"{url}/moto-api/data.json", folder / "log")
    return url
