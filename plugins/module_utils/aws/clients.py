"""Clients of AWS from settings of the inventory alone, and what AWS said as one sentence without a secret in it."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

CONNECT_SECONDS = 5
READ_SECONDS = 30
ATTEMPTS = 6  # of one call that was throttled or met an error of the server, with growing pauses
SECRET = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|\b[A-Za-z0-9/+]{40,}={0,2}")


def client(service: str, params: Mapping[str, Any], *, region: str | None = None) -> Any:
    """A boto3 client for the account that the `aws_*` settings name. Raises Failure or ValueError; nothing is asked of AWS yet."""
    try:
        import boto3
        import botocore.config
        import botocore.session
    except ImportError:
        raise Failure("boto3 is not installed where this runs; install it with: pip install boto3.") from None
    where = region or params["region"]
    proxies = proxies_of(params)
    config = botocore.config.Config(
        proxies=proxies,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra="irctl",
    )
    with said(service):
        session = boto3.Session(botocore_session=_session(botocore.session.Session(), params, proxies), region_name=where)
        if not session.region_name:
            raise Failure("No AWS region is set. Set aws_region.")
        return session.client(service, endpoint_url=_endpoint(params["endpoint"]), config=config)


def identity(params: Mapping[str, Any]) -> tuple[Any, str, str | None]:
    """Credentials, region and endpoint of the same settings, for requests that are signed without a client. Raises as `client`."""
    try:
        import botocore.session
    except ImportError:
        raise Failure("boto3 is not installed where this runs; install it with: pip install boto3.") from None
    with said("the credentials"):
        session = _session(botocore.session.Session(), params, proxies_of(params))
        credentials = session.get_credentials()
        region = params["region"] or session.get_config_variable("region")
    if credentials is None:
        raise Failure("No AWS credentials were found. Set aws_profile, and aws_credentials_file where it is not the usual one.")
    frozen(credentials)  # so that a role or a single sign-on is asked now
    return credentials, region or "", _endpoint(params["endpoint"])


def frozen(credentials: Any) -> Any:
    """Credentials as they are now, asked for or renewed where that is due. Raises Failure or Unreachable."""
    with said("the credentials"):
        try:
            return credentials.get_frozen_credentials()
        except RuntimeError as error:  # what was renewed has expired as well
            raise Failure(f"The AWS credentials cannot be renewed: {redacted(error)}") from None


def proxies_of(params: Mapping[str, Any]) -> dict[str, str] | None:
    """The proxy that the settings name, as botocore takes it, for TLS; None for none. Raises ValueError."""
    url = params.get("proxy")
    if not url:
        return None
    parts = urlsplit(url)
    try:
        usable = parts.scheme == "http" and parts.hostname and parts.port and url.isprintable()
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        shown = printable(url.rpartition("@")[2], 80)
        raise ValueError(f"aws_proxy: http://HOST:PORT is needed, without user and password (got '{shown}')")
    return {"https": url}  # plain HTTP is for this machine and for the instance's own credentials


def ca_file_of(params: Mapping[str, Any]) -> str | None:
    """The file of CA certificates that the settings name; None for those of the system. Raises Failure."""
    path: str | None = params.get("ca_file")
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise Failure(f"aws_ca_file {printable(path)} holds no certificate in PEM form.") from None
    except OSError as error:
        raise Failure(f"aws_ca_file {printable(path)} cannot be read: {error.strerror}.") from None
    return path


def _session(session: Any, params: Mapping[str, Any], proxies: Mapping[str, str] | None) -> Any:
    """The settings also hold where botocore asks for credentials, such as those of a role."""
    from botocore.config import Config

    if proxies:
        session.set_default_client_config(Config(proxies=proxies))
    if path := ca_file_of(params):
        session.set_config_variable("ca_bundle", path)
    for name in ("config_file", "credentials_file"):
        if path := params[name]:
            _check_file(f"aws_{name}", path)
            session.set_config_variable(name, path)
    if params["profile"]:
        session.set_config_variable("profile", params["profile"])
    return session


def _check_file(setting: str, path: str) -> None:
    try:
        about = os.stat(path)
    except OSError as error:
        raise Failure(f"{setting} {printable(path)} cannot be read: {error.strerror}.") from None
    mode = stat.S_IMODE(about.st_mode)
    if not stat.S_ISREG(about.st_mode):
        raise Failure(f"{setting} {printable(path)} is not a regular file.")
    if mode & 0o077:
        raise Failure(f"{setting} {printable(path)} is open to others (mode {mode:04o}); make it 0600.")


def _endpoint(url: str | None) -> str | None:
    """Signed requests hold what they say in clear, so plain HTTP is for this machine only."""
    if not url:
        return None
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("aws_endpoint: an address without user and password is needed")
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and _is_here(parts.hostname or ""):
        return url
    raise ValueError(f"aws_endpoint: an https address is needed, or an http one of this machine (got '{printable(url, 80)}')")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what boto3 raises within into Failure or Unreachable."""
    from botocore import exceptions

    unanswered = (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError,
                  exceptions.ConnectionClosedError, exceptions.ProxyConnectionError, exceptions.SSLError)  # fmt: skip
    try:
        yield
    except exceptions.ClientError as error:
        raise explained(what, error.response.get("Error", {})) from None
    except unanswered as error:
        raise Unreachable(f"AWS does not answer: {redacted(error)}") from None
    except exceptions.NoCredentialsError:
        raise Failure(
            "No AWS credentials were found. Set aws_profile, and aws_credentials_file where it is not the usual one."
        ) from None
    except exceptions.BotoCoreError as error:
        raise Failure(f"AWS cannot be asked: {redacted(error)}") from None


def explained(what: str, error: Mapping[str, Any]) -> Failure:
    """One sentence for an error of AWS. Pure."""
    code = printable(error.get("Code", "no code"), 80)
    if "Signature" in code:  # its message quotes the whole request, a session token among it
        return Failure(f"AWS refused {what}: {code}. Look at the credentials and at this machine's clock.")
    if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
        return Failure(f"AWS refused {what}: the role may not do that ({redacted(error.get('Message', code))})")
    return Failure(f"AWS refused {what}: {code}: {redacted(error.get('Message', 'no reason was given'))}")


def redacted(text: object) -> str:
    """Text from AWS as it may be shown: one line, and nothing in it that looks like a key or a token."""
    return SECRET.sub("(hidden)", printable(" ".join(str(text).split()), 300))


def code_of(error: Any) -> str:
    """The code of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


def pages(client: Any, operation: str, key: str, link: str, **given: Any) -> Iterator[Any]:
    """Every item below `key` of an operation whose pages are linked by `link`."""
    while True:
        with said(operation):
            page = getattr(client, operation)(**given)
        yield from page.get(key, [])
        if not page.get(link) or page[link] == given.get(link):
            return
        given[link] = page[link]


def own_networks(ec2: Any) -> dict[Network, str]:
    """What the account itself has in a region: the networks of its VPCs, and public addresses of its interfaces, those of load
    balancers and NAT gateways among them. Raises Failure where that cannot be read."""
    found: dict[Network, str] = {}
    for vpc in pages(ec2, "describe_vpcs", "Vpcs", "NextToken"):
        found |= dict.fromkeys(_blocks(vpc), f"a network of {vpc['VpcId']}")
    for interface in pages(ec2, "describe_network_interfaces", "NetworkInterfaces", "NextToken"):
        what = printable(interface.get("Description") or interface["NetworkInterfaceId"], 80)
        found |= dict.fromkeys(_addresses(interface), f"an address of our own ({what})")
    with said("describe_addresses"):
        for elastic in ec2.describe_addresses().get("Addresses", []):
            found.setdefault(networks.parse(elastic["PublicIp"]), "an Elastic IP address of our own")
    return found


def _blocks(vpc: Mapping[str, Any]) -> list[Network]:
    pairs = [*vpc.get("CidrBlockAssociationSet", []), *vpc.get("Ipv6CidrBlockAssociationSet", [])]
    texts = {vpc.get("CidrBlock")} | {pair.get("CidrBlock") or pair.get("Ipv6CidrBlock") for pair in pairs}
    return [networks.parse(text) for text in sorted(filter(None, texts))]


def _addresses(interface: Mapping[str, Any]) -> list[Network]:
    """The public addresses of an interface; the private ones are within the networks of its VPC."""
    owners = [interface, *interface.get("PrivateIpAddresses", [])]
    public = {(one.get("Association") or {}).get("PublicIp") for one in owners}
    return [networks.parse(text) for text in sorted(filter(None, public))]
