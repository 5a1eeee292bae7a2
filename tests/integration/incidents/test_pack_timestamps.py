"""Timestamps of a pack, from a real authority of openssl."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from irctl.record import verify
from tests.cli.conftest import listing
from tests.integration.incidents.packs import Case, found
from tests.schemas import faults

TSA = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
"""


@dataclass
class Authority:
    """A timestamp authority: openssl behind a small web server."""

    url: str
    ca: Path
    answer: Callable[[bytes], tuple[int, bytes]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsa")
    for name in ("ca", "tsa", "other"):
        ours = ["-addext", "extendedKeyUsage=critical,timeStamping"] if name == "tsa" else []
        by = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"] if name == "tsa" else []
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-subj", f"/CN={name}"]
        subprocess.run(["openssl", "req", "-x509", *kind, *files, *by, *ours], check=True, capture_output=True)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(TSA.format(folder=folder))
    return folder


@pytest.fixture
def authority(certificates: Path, tmp_path: Path) -> Iterator[Authority]:
    def stamp(query: bytes) -> tuple[int, bytes]:
        (tmp_path / "query").write_bytes(query)
        words = ["openssl", "ts", "-reply", "-config", certificates / "tsa.cnf", "-queryfile", tmp_path / "query"]
        return 200, subprocess.run(words, check=True, capture_output=True).stdout

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            code, answer = found.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Authority(f"http://127.0.0.1:{server.server_port}", certificates / "ca.pem", stamp)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def test_a_timestamp_is_got_kept_and_checked(case: Case, authority: Authority, certificates: Path, tmp_path: Path) -> None:
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert (done.code, done.json["timestamp"], done.json["troubles"]) == (0, True, [])
    assert faults("manifest-1", verify.read_manifest(case.folder)[0]) == []
    assert case.verify().json["notes"] == ["its timestamp is not checked: --tsa-ca FILE does that"]
    checked = case.verify("", "--tsa-ca", str(authority.ca))
    assert checked.code == 0
    assert checked.json["notes"][0].startswith("a timestamp proves that it was there at ")
    other = case.verify("", "--tsa-ca", str(certificates / "other.pem"))
    assert other.code == 8
    assert other.json["differences"][0]["name"].startswith("manifest.json.tsr (openssl: ")
    about = verify.read_manifest(case.folder)[0]
    words = ["openssl", "ts", "-verify", "-digest", about["timestamp"]["of"], "-in", "manifest.json.tsr", "-CAfile", authority.ca]
    assert subprocess.run(words, cwd=case.folder, capture_output=True).returncode == 0


def test_every_byte_of_a_timestamp_counts(case: Case, authority: Authority) -> None:
    case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    token = case.folder / "manifest.json.tsr"
    content = token.read_bytes()
    about = verify.read_manifest(case.folder)[0]
    for at in range(len(content)):
        token.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert [str(one) for one in verify.timestamp_differences(case.folder, about)] == ["changed: manifest.json.tsr"]
    token.unlink()
    assert found(case.folder) == ["missing: manifest.json.tsr"]


ANSWERS: dict[str, Callable[[bytes], tuple[int, bytes]]] = {
    "an error": lambda query: (500, b"out of order"),
    "nothing": lambda query: (200, b""),
    "no timestamp": lambda query: (200, b"<html>hello</html>"),
    "the query": lambda query: (200, query),
    "without end": lambda query: (200, b"x" * (1 << 20)),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_authority_that_gives_no_timestamp_is_an_error_and_the_pack_is_sealed(
    case: Case, authority: Authority, answer: str
) -> None:
    authority.answer = ANSWERS[answer]
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert (done.code, done.err) == (8, "")
    [trouble] = done.json["troubles"]
    assert trouble.startswith("there is no timestamp: ")
    assert case.differences() == []
    assert not (case.folder / "manifest.json.tsr").exists()
    assert case.verify("", "--tsa-ca", str(authority.ca)).code == 8


def test_a_timestamp_of_something_else_is_none(case: Case, authority: Authority) -> None:
    stamp = authority.answer
    other = subprocess.run(["openssl", "ts", "-query", "-digest", "0" * 64, "-sha256", "-cert"], capture_output=True, check=True)
    authority.answer = lambda query: stamp(other.stdout)
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert done.code == 8
    assert "did not grant a timestamp of this manifest" in done.json["troubles"][0]


def test_a_timestamp_without_an_authority_is_refused(case: Case) -> None:
    before = listing(case.home)
    done = case.irctl("incident", "pack", case.incident, "--timestamp")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --timestamp: no timestamp_url is set")
    assert listing(case.home) == before
    unreachable = case.pack("--timestamp", IRCTL_TIMESTAMP_URL="http://127.0.0.1:1/")
    assert unreachable.code == 8
    assert case.pack("--timestamp", IRCTL_TIMESTAMP_URL="file:///etc/passwd").code == 2, "every setting is checked when it is read"
