"""A store that is behind a proxy, and whose certificate a CA of one's own has signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments.aws import ARGUMENTS as AWS
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from tests.servers import proxies, stores
from tests.servers.archives import Archive
from tests.servers.proxies import Certificates, Proxy
from tests.servers.stores import S3

NOTHING = dict.fromkeys(name.removeprefix("aws_") for name in AWS)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return proxies.certificates(tmp_path / "certificates")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with proxies.served(tmp_path / "proxy") as found:
        yield found


@pytest.fixture
def private(seaweed: str, certificates: Certificates) -> Iterator[S3]:
    """The store, by TLS."""
    with stores.watched(seaweed, certificates) as found:
        yield found


def test_a_certificate_of_a_ca_of_ones_own_is_believed_where_that_is_named(
    private: S3, tmp_path: Path, tree: Path, certificates: Certificates
) -> None:
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        Archive(private, tmp_path, tree)()
    archive = Archive(private, tmp_path, tree, ca_file=certificates.ca)
    archive(retain="30d")
    assert archive.verify()["msg"] == "14 objects read back"


def test_everything_goes_through_the_proxy_that_is_named(
    private: S3, tmp_path: Path, tree: Path, certificates: Certificates, proxy: Proxy
) -> None:
    archive = Archive(private, tmp_path, tree, ca_file=certificates.ca, proxy=proxy.url)
    archive()
    assert archive.verify()["msg"] == "14 objects read back"
    assert proxy.was_used()
    with pytest.raises(Unreachable, match="The store does not answer"):
        archive(proxy="http://127.0.0.1:9")


def test_a_proxy_that_refuses_is_named(private: S3, tmp_path: Path, tree: Path, certificates: Certificates) -> None:
    """One that wants a password, which no setting holds."""
    with proxies.served(tmp_path / "strict", "--basic-auth", "user:password") as strict:
        archive = Archive(private, tmp_path, tree, ca_file=certificates.ca, proxy=strict.url)
        with pytest.raises(Unreachable, match=r"the proxy does not connect to 127\.0\.0\.1:[0-9]+: 407"):
            archive()
    assert private.requests == []


def test_a_client_of_boto3_goes_through_them_too(private: S3, tmp_path: Path, certificates: Certificates, proxy: Proxy) -> None:
    settings = {**NOTHING, **private.settings(tmp_path), "ca_file": certificates.ca, "proxy": proxy.url}
    client = clients.client("s3", settings)
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    client.close()
    assert private.bucket in names
    assert proxy.was_used()


@pytest.mark.parametrize(
    "url",
    ["proxy:3128", "https://proxy:3128", "http://proxy", "http://user:secret@proxy:3128", "http://proxy:99999", "socks5://p:1"],
)
def test_what_is_no_plain_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="aws_proxy: http://HOST:PORT is needed") as caught:
        clients.proxies_of({"proxy": url})
    assert "secret" not in str(caught.value)


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing\n")
    with pytest.raises(Failure, match="holds no certificate in PEM form"):
        clients.ca_file_of({"ca_file": str(tmp_path / "none.pem")})
    with pytest.raises(Failure, match="cannot be read: No such file"):
        clients.ca_file_of({"ca_file": str(tmp_path / "gone.pem")})
