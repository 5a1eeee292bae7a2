"""S3 stores on loopback that tests can look into and interfere with: SeaweedFS, and moto where a careless store is wanted.

Both are behind a server of the tests' own, which sees each request as it comes, and may refuse it or do something meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import botocore.config
from werkzeug.serving import make_server

from tests.servers.proxies import Certificates
from tests.servers.seaweed import KEYS

CHECKSUM = "x-amz-checksum-sha256"
CODES = ("RequestTimeout", "ExpiredToken")
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@dataclass(frozen=True)
class Request:
    """What came over the wire. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.path.partition("/")[2]

    @property
    def framed(self) -> bool:
        return self.headers.get("content-encoding") == "aws-chunked"

    @cached_property
    def _parts(self) -> tuple[bytes, dict[str, str]]:
        return unframed(self.body) if self.framed else (self.body, self.headers)

    @property
    def content(self) -> bytes:
        return self._parts[0]

    @property
    def checksum(self) -> str:
        return self._parts[1].get(CHECKSUM, "")


def backblaze(request: Request, number: int) -> str | None:
    """Refuse what Backblaze refuses: every header about checksums but Content-MD5, and content that comes in frames."""
    bad = [name for name in request.headers if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer"))]
    if bad:
        return f"400 Unsupported header '{bad[0]}' received for this API call."
    if request.method == "PUT" and (said := request.headers.get("content-md5")) != base64_md5(request.body):
        return f"400 Content-MD5 {said} is another"
    return None


def unframed(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Content and trailers of an aws-chunked body."""
    stream, content = io.BytesIO(body), bytearray()
    while size := int(stream.readline().split(b";")[0], 16):
        content += stream.read(size)
        assert stream.read(2) == b"\r\n"
    pairs = (line.decode().split(":", 1) for line in stream.read().split(b"\r\n") if line)
    return bytes(content), dict(pairs)  # type: ignore[arg-type]


def base64_md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def base64_sum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


Hook = Callable[[Request, int], int | str | None]


@dataclass
class S3:
    """One server. `hook` sees each request and its number before it is answered, and may refuse it by a status, or by words;
    `acted` is told of each that was carried out, before its answer goes, and may have another status go instead.
    """

    url: str
    bucket: str  # with versions and Object Lock
    plain: str  # with neither
    requests: list[Request] = field(default_factory=list)
    hook: Hook | None = None
    acted: Callable[[Request], int | None] | None = None
    region: str = ""  # where refusals say that the bucket is
    ca: str | None = None  # the certificate authority of one that is spoken to by TLS
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def client(self) -> Any:
        config = botocore.config.Config(s3={"addressing_style": "path"})
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", config=config, verify=self.ca, **KEYS)

    def settings(self, folder: Path) -> dict[str, str]:
        """What a module is told of it."""
        credentials = folder / "credentials"
        credentials.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in KEYS.items()))
        credentials.chmod(0o600)
        return {"region": "us-east-1", "credentials_file": str(credentials), "endpoint": self.url}

    def names(self, prefix: str = "", bucket: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket or self.bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def content(self, key: str, bucket: str = "") -> bytes:
        found: bytes = self.client.get_object(Bucket=bucket or self.bucket, Key=key)["Body"].read()
        return found

    def head(self, key: str) -> Any:
        return self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")

    def take(self, request: Request) -> str:
        """The status that a test refuses this with, or '' where the store may answer."""
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        refused = self.hook(request, number) if self.hook else None
        return f"{refused} Made By A Test" if isinstance(refused, int) else refused or ""


class _Watched:
    def __init__(self, store: S3, inner: Any) -> None:
        self._store, self._inner = store, inner

    def __call__(self, environ: Any, start: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        request = Request(environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]).lstrip("/"), query, headers, body)
        if refused := self._store.take(request):
            return self._refuse(request, refused, start)
        told: list[Any] = []
        answer = self._inner(environ, lambda *given: told.extend(given), request)
        if self._store.acted and (instead := self._store.acted(request)):
            return self._refuse(request, f"{instead} Made By A Test", start)
        start(*told)
        return answer

    def _refuse(self, request: Request, why: str, start: Any) -> list[bytes]:
        code = next((code for code in CODES if code in why), "SlowDown" if why.startswith("503") else "InternalError")
        content = b"" if request.method == "HEAD" else ERROR.format(code=code, message=why[4:]).encode()
        region = [("x-amz-bucket-region", self._store.region)] if self._store.region else []
        start(why, [("Content-Type", "application/xml"), ("Content-Length", str(len(content))), *region])
        return [content]


def _handed_on(url: str) -> Any:
    """Every request as it came, so that its signature stays good."""
    address = urlsplit(url).netloc

    def ask(environ: Any, start: Any, request: Request) -> Any:
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.putrequest(request.method, environ["REQUEST_URI"], skip_host=True, skip_accept_encoding=True)
        given = {"content-length": environ.get("CONTENT_LENGTH"), "content-type": environ.get("CONTENT_TYPE"), **request.headers}
        for name, value in given.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(request.body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        own = {"connection", "transfer-encoding", "date", "server"}
        start(f"{answer.status} {answer.reason}", [pair for pair in answer.getheaders() if pair[0].lower() not in own])
        return [content]

    return ask


def _careless(environ: Any, start: Any, request: Request) -> Any:
    if request.framed:  # moto would take it apart in quadratic time
        for name in ("HTTP_CONTENT_ENCODING", "HTTP_X_AMZ_TRAILER", "HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
            del environ[name]
        environ |= {"HTTP_X_AMZ_CONTENT_SHA256": "UNSIGNED-PAYLOAD", "HTTP_X_AMZ_CHECKSUM_SHA256": request.checksum}
        environ |= {"CONTENT_LENGTH": str(len(request.content)), "wsgi.input": io.BytesIO(request.content)}
    return _moto()(environ, start)


@cache
def _moto() -> Any:
    """Imported when it is wanted: each worker of the tests reads this file, and few of them want it."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


@contextmanager
def watched(url: str, certificates: Certificates | None = None) -> Iterator[S3]:
    """The store at this address, and two empty buckets there that nobody else has; with certificates spoken to by TLS."""
    with _served(_handed_on(url), certificates) as found:
        yield found


@contextmanager
def careless() -> Iterator[S3]:
    """A store that takes any checksum and gives it back: moto, of this process."""
    with _served(_careless) as found:
        yield found


@contextmanager
def _served(inner: Any, certificates: Certificates | None = None) -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    own = uuid.uuid4().hex[:8]
    store = S3("", f"evidence-{own}", f"plain-{own}")
    tls = (certificates.certificate, certificates.key) if certificates else None
    server = make_server("127.0.0.1", 0, _Watched(store, inner), threaded=True, ssl_context=tls)
    store.url, store.ca = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", certificates.ca if certificates else None
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        store.client.create_bucket(Bucket=store.bucket, ObjectLockEnabledForBucket=True)
        store.client.create_bucket(Bucket=store.plain)
        store.requests.clear()
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
