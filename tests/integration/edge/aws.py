"""An account of AWS on a moto server for the tests of block-ip, and the steps that they do on it."""

from __future__ import annotations

import base64
import ipaddress
import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3

from ansible_collections.irctl.runbooks.plugins.modules import block_list
from tests.conftest import Done, Irctl, write_inventory

REGION = "eu-central-1"
SECRET = "wJalrXUtnFEMIKxK7MDENGxbPxRfiCYEXAMPLEKEY"
OFFICE = "45.155.1.0/24"
FRESH = {"Scope": "REGIONAL"}
SEEN = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "shop"}
PUBLIC = ipaddress.ip_address("91.0.0.0")


def addresses(number: int, begin: int = 0) -> list[str]:
    return [str(PUBLIC + begin + one) for one in range(number)]


def addresses_v6(number: int) -> list[str]:
    return [str(ipaddress.ip_address("2a00:1450::") + (one << 64)) for one in range(number)]


@dataclass
class Aws:
    """A moto server with an account in it: two IP sets, a web ACL without rules, a VPC with a subnet and its network ACL."""

    url: str
    recording: Path
    folder: Path = Path()
    nacl: str = ""
    own: str = ""
    host: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def begin(self, folder: Path) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST"))
        self.folder, waf, ec2 = folder, self.client("wafv2"), self.client("ec2")
        for version in (4, 6):
            waf.create_ip_set(Name=f"blocked-v{version}", IPAddressVersion=f"IPV{version}", Addresses=[], **FRESH)
        waf.create_web_acl(Name="shop", DefaultAction={"Allow": {}}, Rules=[], VisibilityConfig=SEEN, **FRESH)
        vpc = ec2.create_vpc(CidrBlock="45.155.205.0/24")["Vpc"]["VpcId"]
        ec2.create_subnet(VpcId=vpc, CidrBlock="45.155.205.0/25")
        [acl] = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        self.nacl, self.own = acl["NetworkAclId"], ec2.allocate_address(Domain="vpc")["PublicIp"]
        credentials = folder / "credentials"
        credentials.write_text(f"[edge]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n")
        credentials.chmod(0o600)
        reach = {"aws_region": REGION, "aws_endpoint": self.url, "aws_profile": "edge", "aws_credentials_file": str(credentials)}
        self.host = {"ansible_connection": "local", "irctl_drills": "allowed", "edge_protected": [OFFICE], **reach}
        self.forget()

    def waf_host(self, **more: Any) -> dict[str, Any]:
        sets = {"edge_wafv2_name_v4": "blocked-v4", "edge_wafv2_name_v6": "blocked-v6", "edge_wafv2_web_acl": "shop"}
        return {**self.host, "block_ip_backend": "wafv2", **sets, **more}

    def nacl_host(self, **more: Any) -> dict[str, Any]:
        return {**self.host, "block_ip_backend": "nacl", "edge_nacl_id": self.nacl, **more}

    def irctl(self, home: str = "home", **hosts: dict[str, Any]) -> Irctl:
        known = hosts or {"waf": self.waf_host(), "acl": self.nacl_host()}
        return Irctl(self.folder / home, write_inventory(self.folder, known))

    def params(self, backend: str, *blocked: str, **more: Any) -> dict[str, Any]:
        """The arguments of the module, as the host's variables give them."""
        defaults = {name: about.get("default") for name, about in block_list.ARGUMENTS.items()}
        host = self.waf_host() if backend == "wafv2" else self.nacl_host()
        named = {name.partition("_")[2]: value for name, value in host.items() if name.startswith(("edge_", "aws_"))}
        return {**defaults, **named, "drills": "allowed", "backend": backend, "addresses": list(blocked), **more}

    def ip_set(self, version: int = 4) -> list[str]:
        found: list[str] = self.get(version)["IPSet"]["Addresses"]
        return found

    def get(self, version: int) -> Any:
        waf = self.client("wafv2")
        [known] = [one for one in waf.list_ip_sets(**FRESH)["IPSets"] if one["Name"] == f"blocked-v{version}"]
        return waf.get_ip_set(Name=known["Name"], Id=known["Id"], **FRESH)

    def arn(self, version: int = 4) -> str:
        return str(self.get(version)["IPSet"]["ARN"])

    def put(self, *texts: str, version: int = 4) -> None:
        """Somebody else writes the set."""
        held = self.get(version)
        about = {"Name": held["IPSet"]["Name"], "Id": held["IPSet"]["Id"], "LockToken": held["LockToken"]}
        self.client("wafv2").update_ip_set(Addresses=list(texts), **about, **FRESH)

    def web_acl(self) -> dict[str, Any]:
        waf = self.client("wafv2")
        [known] = waf.list_web_acls(**FRESH)["WebACLs"]
        got = waf.get_web_acl(Name="shop", Id=known["Id"], **FRESH)
        return {**got["WebACL"], "LockToken": got["LockToken"]}

    def with_rules(self, *rules: dict[str, Any]) -> None:
        """Somebody writes the rules of the web ACL: {Priority, Action, Statement}."""
        acl, numbered = self.web_acl(), enumerate(rules)
        whole = [{"Name": f"rule-{number}", "VisibilityConfig": SEEN, **rule} for number, rule in numbered]
        about = {key: acl[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken")}
        self.client("wafv2").update_web_acl(Rules=whole, **about, **FRESH)

    def blocking(self, version: int = 4, action: str = "Block", priority: int = 5) -> dict[str, Any]:
        return {"Priority": priority, "Action": {action: {}}, "Statement": {"IPSetReferenceStatement": {"ARN": self.arn(version)}}}

    def rules(self) -> list[dict[str, Any]]:
        """The incoming entries of the network ACL, by number."""
        [acl] = self.client("ec2").describe_network_acls(NetworkAclIds=[self.nacl])["NetworkAcls"]
        return sorted((one for one in acl["Entries"] if not one["Egress"]), key=lambda one: int(one["RuleNumber"]))

    def denied(self) -> dict[int, str]:
        return {
            one["RuleNumber"]: one.get("CidrBlock") or one["Ipv6CidrBlock"]
            for one in self.rules()
            if one["RuleAction"] == "deny" and one["RuleNumber"] < 32767
        }

    def add_rule(self, number: int, cidr: str, action: str = "deny") -> None:
        given = {"NetworkAclId": self.nacl, "RuleNumber": number, "Protocol": "-1", "RuleAction": action, "Egress": False}
        self.client("ec2").create_network_acl_entry(**given, **{"CidrBlock" if "." in cidr else "Ipv6CidrBlock": cidr})

    def forget(self) -> None:
        self.recording.write_text("")

    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """Every request that reached the server since then: the operation, and what it asked for."""
        found = []
        for line in self.recording.read_text().splitlines():
            entry = json.loads(line)
            body = base64.b64decode(entry["body"]).decode() if entry["body_encoded"] else entry["body"]
            if target := entry["headers"].get("X-Amz-Target"):
                found.append((target.rpartition(".")[2], json.loads(body)))
            elif "Action=" in body:
                query = {name: values[0] for name, values in parse_qs(body).items()}
                found.append((query["Action"], query))
        return found

    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        return [one for one in self.sent() if not one[0].startswith(("Get", "List", "Describe"))]


class Response:
    def __init__(self, status: int) -> None:
        self.status_code, self.headers, self.content = status, dict[str, str](), b""


def refused(code: str, message: str = "no", status: int = 400) -> Any:
    return Response(status), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}


def block(irctl: Irctl, host: str, *words: str) -> Done:
    """remediate block-ip; what does not begin with a dash is an address."""
    said: list[str] = []
    for word in words:
        said += word.split() if word.startswith("-") else ["--address", word]
    return irctl("remediate", "block-ip", "--host", host, "--json", *said)


def step(params: dict[str, Any], state: str, **more: Any) -> dict[str, Any]:
    return block_list.run({**params, "state": state, **more}, False)


def do_all(params: dict[str, Any]) -> dict[str, Any]:
    """All that the role does, in its order; returns what Change returned."""
    before = step(params, "listed")
    assert before["refusals"] == []
    step(params, "captured", found=before["found"])
    change = step(params, "changed", found=before["found"])
    step(params, "proved", found=before["found"])
    return change
