"""RFC 3161 timestamps, by way of openssl."""

from __future__ import annotations

import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from irctl.errors import IrctlError
from irctl.record.verify_command import visible

SECONDS = 60  # for one openssl
PATIENCE = 30  # seconds for the authority to answer
LARGEST_ANSWER = 64 << 10  # bytes


def fetch(of: str, url: str) -> bytes:
    """A timestamp of this sha256 from an authority (RFC 3161 over HTTP). Raises OSError, ValueError, HTTPException, IrctlError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("timestamp_url must begin with http:// or https://")
    with tempfile.TemporaryDirectory(prefix="irctl-stamp-") as folder:
        query, answer = Path(folder) / "query", Path(folder) / "answer"
        if openssl_ts("-query", "-digest", of, "-sha256", "-cert", "-out", str(query)).returncode:
            raise IrctlError("openssl ts cannot make a query")
        request = urllib.request.Request(url, query.read_bytes(), {"Content-Type": "application/timestamp-query"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            token: bytes = response.read(LARGEST_ANSWER + 1)
        answer.write_bytes(token)
        if len(token) > LARGEST_ANSWER or bytes.fromhex(of) not in token or not stamped_at(answer):
            raise ValueError("the authority did not grant a timestamp of this manifest")
        return token


def stamped_at(token: Path) -> str:
    """The time in an RFC 3161 answer, as openssl prints it; '' where it grants none."""
    output = openssl_ts("-reply", "-in", str(token), "-text").stdout.decode("utf-8", "replace")
    time = re.search(r"^Time stamp: (.+)$", output, re.MULTILINE)
    return visible(time[1]) if time and re.search(r"^Status: Granted", output, re.MULTILINE) else ""


def openssl_ts(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run `openssl ts`. Raises IrctlError where there is none."""
    try:
        return subprocess.run(["openssl", "ts", *words], capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise IrctlError("openssl is not on this machine: apt-get install openssl") from None
    except subprocess.TimeoutExpired:
        raise IrctlError(f"openssl ts did not end within {SECONDS} s") from None
