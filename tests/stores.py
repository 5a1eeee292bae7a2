"""An S3 store on loopback that tests can look into: moto, made as strict about checksums as the real one, or left as it is."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
import botocore.config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET, PLAIN = "evidence", "plain"  # the second one has neither versions nor locks
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI-EXAMPLE"}
CHECKSUM = "x-amz-checksum-sha256"
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
    """One server. `hook` sees each request and its number before it is answered, and may refuse it by a status, or by words."""

    url: str
    strict: bool = True
    requests: list[Request] = field(default_factory=list)
    hook: Hook | None = None
    acted: Callable[[Request], None] | None = None  # is told of each request that was carried out, before its answer goes
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def client(self) -> Any:
        config = botocore.config.Config(s3={"addressing_style": "path"})
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", config=config, **KEYS)

    def settings(self, folder: Path) -> dict[str, str]:
        """What a module is told of it."""
        credentials = folder / "credentials"
        credentials.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in KEYS.items()))
        credentials.chmod(0o600)
        return {"region": "us-east-1", "credentials_file": str(credentials), "endpoint": self.url}

    def names(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def content(self, key: str, bucket: str = BUCKET) -> bytes:
        found: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return found

    def head(self, key: str, bucket: str = BUCKET) -> Any:
        return self.client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")

    def take(self, request: Request) -> str:
        """The status that the real one would refuse this with, or '' where moto may answer."""
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        if self.hook and (status := self.hook(request, number)):
            return f"{status} Made By A Test" if isinstance(status, int) else status
        return "400 Bad Request" if self.strict and self._wrong(request) else ""

    def _wrong(self, request: Request) -> bool:
        digest = request.headers.get("x-amz-content-sha256", "")
        wrong_payload = len(digest) == 64 and digest != hashlib.sha256(request.body).hexdigest()
        return wrong_payload or (bool(request.checksum) and request.checksum != base64_sum(request.content))


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
            code = {"400 Bad Request": "BadDigest", "503 Made By A Test": "SlowDown"}.get(refused, "InternalError")
            content = b"" if request.method == "HEAD" else ERROR.format(code=code, message=refused[4:]).encode()
            start(refused, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
            return [content]
        if request.framed:  # moto would take it apart in quadratic time
            for name in ("HTTP_CONTENT_ENCODING", "HTTP_X_AMZ_TRAILER", "HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
                del environ[name]
            environ |= {"HTTP_X_AMZ_CONTENT_SHA256": "UNSIGNED-PAYLOAD", "HTTP_X_AMZ_CHECKSUM_SHA256": request.checksum}
            environ |= {"CONTENT_LENGTH": str(len(request.content)), "wsgi.input": io.BytesIO(request.content)}
        answer = self._inner(environ, start)
        if self._store.acted:
            self._store.acted(request)
        return answer


@contextmanager
def s3(*, strict: bool = True) -> Iterator[S3]:
    """A server with two empty buckets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = S3("", strict)
    server = make_server("127.0.0.1", 0, _Watched(store, DomainDispatcherApplication(create_backend_app)), threaded=True)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{store.url}/moto-api/reset", method="POST")).close()
        store.client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        store.client.create_bucket(Bucket=PLAIN)
        store.requests.clear()
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
