"""How a Redis is reached: over TLS and over a socket, and Valkey as Redis is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from irctl.lab import valkey
from tests.integration.redis.conftest import cleared, listed
from tests.servers.redis_servers import NEEDED, RedisServer, redis_server

pytestmark = NEEDED
REQUEST = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


def certificate(folder: Path, name: str, names: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", *REQUEST.split(), *words], check=True, capture_output=True)
    key.chmod(0o600)
    return made, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


def over_tls(made: Path, key: Path, *lines: str) -> Any:
    return redis_server("port 0", f"tls-cert-file {made}", f"tls-key-file {key}", f"tls-ca-cert-file {made}", *lines, tls=True)


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[tuple[RedisServer, Path, Path]]:
    """A server that asks for certificates, its own and its key."""
    made, key = certificate(folder, "here", "IP:127.0.0.1")
    with over_tls(made, key) as server:
        yield server, made, key


def test_over_tls_the_server_is_believed_by_its_certificate_and_asks_for_ours(here: tuple[RedisServer, Path, Path]) -> None:
    server, made, key = here
    ours = {"redis_tls": True, "redis_ca_file": str(made), "redis_certificate_file": str(made), "redis_key_file": str(key)}
    client = server.client(ssl=True, ssl_ca_certs=str(made), ssl_certfile=str(made), ssl_keyfile=str(key))
    client.set("ratelimit:1", 5)
    assert cleared(server, **ours)["removed"] == 1
    assert not client.exists("ratelimit:1")
    with pytest.raises(Unreachable, match="does not answer"):
        listed(server, redis_tls=True, redis_ca_file=str(made))
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        listed(server, **{**ours, "redis_ca_file": None})
    with pytest.raises(Unreachable, match="does not answer"):
        listed(server)
    key.chmod(0o644)
    with pytest.raises(Failure, match=r"redis_key_file .* is open to others \(mode 0644\); make it 0600"):
        listed(server, **ours)
    key.chmod(0o600)


def test_a_certificate_for_another_name_is_not_believed(folder: Path) -> None:
    made, key = certificate(folder, "elsewhere", "DNS:cache.example.com")
    with over_tls(made, key, "tls-auth-clients no") as server, pytest.raises(Unreachable, match="IP address mismatch"):
        listed(server, redis_tls=True, redis_ca_file=str(made))


def test_a_socket_is_a_host_too_and_a_password_that_others_may_read_is_refused(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    with redis_server(f"unixsocket {socket}") as server:
        server.client().set("ratelimit:1", 5)
        assert cleared(server, redis_host=str(socket))["removed"] == 1
        open_file = server.password_file("open", "secret")
        open_file.chmod(0o644)
        with pytest.raises(Failure, match=r"redis_password_file .* is open to others \(mode 0644\); make it 0600") as told:
            listed(server, redis_password_file=str(open_file))
        assert "secret" not in str(told.value)
        with pytest.raises(Failure, match="redis_username is set and redis_password_file is not"):
            listed(server, redis_password_file=None)


def test_another_database_is_not_touched() -> None:
    with redis_server() as server:
        for number in (0, 3):
            server.client(db=number).set("ratelimit:1", 5)
        assert cleared(server, redis_db=3)["removed"] == 1
        assert server.client(db=0).exists("ratelimit:1")


@pytest.mark.skipif(not valkey.installed(), reason="pip install '.[lab]'")
def test_valkey_is_told_from_redis_and_cleared_alike() -> None:
    with redis_server(program=str(valkey.program())) as server:
        client = server.client()
        client.mset({f"session:{number}": "x" for number in range(5000)})
        client.mset({f"ratelimit:{number}": number for number in range(500)})
        assert "Valkey 9." in listed(server)["msg"]
        assert cleared(server)["removed"] == 500
        assert client.dbsize() == 5000
