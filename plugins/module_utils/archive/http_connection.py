"""One HTTP/1.1 connection that stays open. http.client takes half of the time of a small request to read the answer's headers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

SECONDS = 60  # without a byte
PIECE = 1 << 20
LARGEST_LINE = 64 << 10
MOST_HEADERS = 200

Content: TypeAlias = "bytes | memoryview"


class NotHttp(OSError):
    """What came is no answer of HTTP."""


def _name_and_port(host: str, usual: int) -> tuple[str, int]:
    """HOST, HOST:PORT or [ADDRESS]:PORT in its two parts."""
    name, _colon, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", usual)
    return name.strip("[]"), int(port)


def _ask_for_tunnel(plain: socket.socket, target: str) -> None:
    """Have a proxy connect us. Raises OSError with what it answers; nothing of what comes through the tunnel is read."""
    plain.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        byte = plain.recv(1)
        if not byte or len(answer) > LARGEST_LINE:
            raise NotHttp("the proxy does not answer as a proxy does")
        answer += byte
    status = answer.split(b"\r\n", 1)[0].split(None, 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].startswith(b"2"):
        reason = b" ".join(status[1:]).decode("latin-1")
        raise ProxyRefused(f"the proxy does not connect to {target}: {reason or 'no HTTP'}")


class ProxyRefused(OSError):
    """The proxy answered, and does not connect us."""


class Connection:
    """A connection to one host, for one thread. After any exception it must be closed."""

    def __init__(self, host: str, tls: ssl.SSLContext | None, proxy: str = "") -> None:
        """`proxy` is HOST:PORT of one that is asked for a tunnel; it is for TLS only."""
        name, port = _name_and_port(host, 443 if tls else 80)
        plain = socket.create_connection(_name_and_port(proxy, 80) if proxy else (name, port), timeout=SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy:
                _ask_for_tunnel(plain, f"[{name}]:{port}" if ":" in name else f"{name}:{port}")
            self._socket = tls.wrap_socket(plain, server_hostname=name) if tls else plain
        except BaseException:
            plain.close()
            raise
        self._file = self._socket.makefile("rb", buffering=LARGEST_LINE)
        self.open = True

    def close(self) -> None:
        self.open = False
        self._file.close()
        self._socket.close()

    def send(self, method: str, target: str, headers: Mapping[str, str], body: Content | Iterable[Content]) -> None:
        head = "".join([f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"])
        if head.count("\r\n") != len(headers) + 2 or head.count("\n") != len(headers) + 2:
            raise ValueError("a line end in a header")
        pieces = [body] if isinstance(body, bytes | memoryview) else body
        first = head.encode("ascii")
        for piece in pieces:
            if first and len(piece) < LARGEST_LINE:
                piece = first + piece
            elif first:
                self._socket.sendall(first)
            first = b""
            self._socket.sendall(piece)

    def answer(self, method: str) -> tuple[int, dict[str, str]]:
        """Read the status and the headers, their names in lower case."""
        status = 100
        while 100 <= status < 200:
            status, headers = self._status(), self._headers()
        if headers.get("connection", "").lower() == "close":
            self.open = False
        self._ended = method == "HEAD" or status in (204, 304)
        return status, headers

    def _status(self) -> int:
        line = self._line()
        if not line:
            raise ConnectionResetError("the connection was closed before there was an answer")
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (words[1].isdigit() and len(words[1]) == 3):
            raise NotHttp("what answers there does not speak HTTP")
        return int(words[1])

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _header in range(MOST_HEADERS):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.partition(b":")
            if not colon:
                raise NotHttp("a header without a colon")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        raise NotHttp(f"more than {MOST_HEADERS} headers")

    def _line(self) -> bytes:
        line = self._file.readline(LARGEST_LINE)
        if len(line) == LARGEST_LINE:
            raise NotHttp(f"a line of more than {LARGEST_LINE} bytes")
        return line

    def take(self, headers: Mapping[str, str], into: Callable[[bytes], None]) -> None:
        """Hand the body on in pieces, all of it."""
        if self._ended:
            return
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._line().split(b";")[0] or b"x", 16):
                self._exactly(size, into)
                self._line()
            while self._line() not in (b"\r\n", b"\n", b""):
                pass
        elif "content-length" in headers:
            self._exactly(int(headers["content-length"]), into)
        else:
            self.open = False
            while piece := self._file.read(PIECE):
                into(piece)

    def _exactly(self, size: int, into: Callable[[bytes], None]) -> None:
        while size:
            piece = self._file.read(min(size, PIECE))
            if not piece:
                raise ConnectionResetError("the connection was closed in the middle of an answer")
            size -= len(piece)
            into(piece)
