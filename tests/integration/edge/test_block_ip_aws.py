"""block-ip on AWS, as far as moto is AWS: what goes out is looked at too, because moto takes what AWS would refuse."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import waf as block_wafv2
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.modules import block_list
from irctl.errors import FAILED, INVALID, PARTIAL, REFUSED
from irctl.lab.postgres import free_port
from tests.conftest import Done, Irctl, write_inventory
from tests.servers import cloud, processes

pytest.importorskip("moto")

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
        found: list[str] = self._get(version)["IPSet"]["Addresses"]
        return found

    def _get(self, version: int) -> Any:
        waf = self.client("wafv2")
        [known] = [one for one in waf.list_ip_sets(**FRESH)["IPSets"] if one["Name"] == f"blocked-v{version}"]
        return waf.get_ip_set(Name=known["Name"], Id=known["Id"], **FRESH)

    def arn(self, version: int = 4) -> str:
        return str(self._get(version)["IPSet"]["ARN"])

    def put(self, *texts: str, version: int = 4) -> None:
        """Somebody else writes the set."""
        held = self._get(version)
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


@pytest.fixture(scope="module")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("moto")
    recording = folder / "recording"
    try:
        yield Aws(cloud.start(folder, MOTO_ENABLE_RECORDING="1", MOTO_RECORDER_FILEPATH=str(recording)), recording)
    finally:
        processes.stop(folder)


@pytest.fixture
def edge(moto_server: Aws, tmp_path: Path) -> Aws:
    moto_server.begin(tmp_path)
    return moto_server


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[..., Any]], None]:
    """Do something whenever an operation such as 'wafv2.UpdateIPSet' is about to be called; what it returns is the answer."""
    watched: dict[str, Callable[..., Any]] = {}
    make = clients.client

    def client(*words: Any, **named: Any) -> Any:
        made = make(*words, **named)
        for operation, act in watched.items():
            made.meta.events.register(f"before-call.{operation}", lambda act=act, **_: act())
        return made

    monkeypatch.setattr(clients, "client", client)
    return watched.__setitem__


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


# --- AWS WAF ---


def test_addresses_are_blocked_then_found_blocked_and_a_revert_takes_out_only_those(edge: Aws) -> None:
    irctl = edge.irctl()
    edge.put("185.1.1.1/32", "185.1.2.0/24")
    edge.with_rules(edge.blocking(4, priority=0), edge.blocking(6, priority=1))
    edge.forget()
    checked = block(irctl, "waf", "198.51.100.7", "185.1.2.9", "2a00:1450:4::/48", "--check")
    assert (checked.code, checked.host("waf")["outcome"]) == (0, "changed"), checked.err
    assert checked.host("waf")["reason"] == "2 addresses would be blocked, 2 in the list"
    assert edge.writes() == []

    done = block(irctl, "waf", "198.51.100.7", "185.1.2.9", "2a00:1450:4::/48")
    assert (done.code, done.host("waf")["reason"]) == (0, "2 addresses blocked, 4 in the list"), done.err
    assert edge.ip_set(4) == ["185.1.1.1/32", "185.1.2.0/24", "198.51.100.7/32"]
    assert edge.ip_set(6) == ["2a00:1450:0004:0000:0000:0000:0000:0000/48"]
    record = json.loads((Path(done.json["folder"]) / "evidence" / "waf" / "revert.json").read_text())
    assert record["captured"] == {"blocked": ["185.1.2.9"]}
    assert record["sets"] == {"blocked": ["198.51.100.7", "2a00:1450:4::/48"]}

    edge.forget()
    again = block(irctl, "waf", "198.51.100.7", "185.1.2.9", "2a00:1450:4::/48")
    assert (again.json["outcome"], again.host("waf")["reason"]) == ("unchanged", "blocked already, 4 in the list")
    assert edge.writes() == []

    edge.put(*edge.ip_set(4), "185.9.9.9/32")
    back = irctl("revert", done.json["run"], "--json")
    assert (back.code, back.host("waf")["reason"]) == (0, "2 addresses let through again, 3 in the list"), back.err
    assert (edge.ip_set(4), edge.ip_set(6)) == (["185.1.1.1/32", "185.1.2.0/24", "185.9.9.9/32"], [])
    twice = irctl("revert", done.json["run"], "--json")
    assert (twice.code, twice.json["outcome"]) == (0, "unchanged"), twice.err


def test_eight_processes_add_25_addresses_each_to_one_set_and_200_are_there(edge: Aws) -> None:
    edge.with_rules(edge.blocking())
    homes = [edge.irctl(f"home-{number}") for number in range(8)]
    running = []
    for number, irctl in enumerate(homes):
        irctl.home.mkdir()
        (irctl.home / "list").write_text("\n".join(addresses(25, 25 * number)))
        words = ("remediate", "block-ip", "--host", "waf", "--json", "--address", f"@{irctl.home}/list")
        running.append(irctl.start(*words))
    ended = [(one.communicate(timeout=300), one.returncode) for one in running]
    assert [code for _, code in ended] == [0] * 8, ended
    assert set(edge.ip_set()) == {f"{one}/32" for one in addresses(200)}
    assert len(edge.ip_set()) == 200


CROWD = """
import json, sys, time
from ansible_collections.irctl.runbooks.plugins.modules import block_list
params = json.load(sys.stdin)
found = block_list.run({**params, "state": "listed"}, False)["found"]
print("ready", flush=True)
time.sleep(max(0.0, float(sys.argv[1]) - time.time()))
print(block_list.run({**params, "state": "changed", "found": found}, False)["msg"])
"""


def test_writers_that_strike_at_the_same_moment_lose_nothing(edge: Aws) -> None:
    """Their lock tokens are stale at once, and some of the requests must have been refused for it."""
    begin = str(time.time() + 8)
    running = [
        subprocess.Popen([sys.executable, "-c", CROWD, begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for number, one in enumerate(running):
        assert one.stdin
        one.stdin.write(json.dumps(edge.params("wafv2", *addresses(25, 25 * number))))
        one.stdin.close()
    said = [one.stdout.read() for one in running if one.stdout]
    assert [one.wait(timeout=200) for one in running] == [0] * 8, said
    assert said == ["ready\n25 addresses blocked\n"] * 8
    assert set(edge.ip_set()) == {f"{one}/32" for one in addresses(200)}
    assert len(edge.writes()) > 8, "nobody lost against another, so this shows nothing"


def test_ten_thousand_addresses_take_at_most_four_calls_for_each_set(edge: Aws) -> None:
    edge.with_rules(edge.blocking(4, priority=1), edge.blocking(6, priority=2))
    irctl = edge.irctl()
    for version, many in ((4, addresses(10_000)), (6, addresses_v6(10_000))):
        edge.forget()
        (edge.folder / "list").write_text("\n".join(many))
        done = block(irctl, "waf", f"@{edge.folder}/list")
        assert (done.code, done.host("waf")["reason"].partition(",")[0]) == (0, "10000 addresses blocked"), done.err
        ours = [asked["Name"] for _, asked in edge.sent() if asked.get("Name", "").startswith("blocked-")]
        assert Counter(ours)[f"blocked-v{version}"] <= 4, edge.sent()
        assert max(Counter(ours).values()) <= 4
        assert len(edge.ip_set(version)) == 10_000
        back = irctl("revert", done.json["run"], "--json")
        assert (back.code, edge.ip_set(version)) == (0, []), back.err


def test_the_ten_thousand_and_first_is_refused_before_anything_is_asked(edge: Aws) -> None:
    (edge.folder / "list").write_text("\n".join(addresses(10_001)))
    done = block(edge.irctl(), "waf", f"@{edge.folder}/list")
    assert (done.code, done.host("waf")["outcome"]) == (REFUSED, "refused")
    assert done.host("waf")["reason"].startswith("10001 addresses are asked for and the limit is 10000.")
    assert edge.sent() == []


def test_an_entry_that_finds_no_room_in_the_set_is_refused_before_anything_is_written(edge: Aws) -> None:
    edge.put(*[f"{one}/32" for one in addresses(9_999)])
    edge.forget()
    done = block(edge.irctl(), "waf", "198.51.100.7", "2a00:1450:4::1", "185.1.1.1")
    why = "2 IPv4 entries would be added to blocked-v4 and blocked-v6, but it holds 9999 and has room for 1 more."
    assert (done.code, done.host("waf")["reason"]) == (REFUSED, why)
    assert edge.writes() == []


def test_room_that_somebody_else_takes_meanwhile_is_missed_before_the_write(edge: Aws, tamper: Any) -> None:
    params = edge.params("wafv2", "198.51.100.7", "2a00:1450:4::1")
    edge.put(*[f"{one}/32" for one in addresses(9_999)])

    def fill() -> None:
        if len(edge.ip_set()) == 9_999:
            edge.put(*[f"{one}/32" for one in addresses(10_000)])

    tamper("wafv2.UpdateIPSet", fill)
    with pytest.raises(Failure, match=r"blocked-v4 would hold 10001 entries, and AWS takes 10000\. It was left as it was"):
        step(params, "changed")
    assert len(edge.ip_set()) == 10_000
    assert edge.ip_set(6) == []


def test_a_stale_lock_token_is_met_with_a_new_union(edge: Aws, tamper: Any) -> None:
    came = iter(["185.1.1.1/32", "185.1.1.2/32", "185.1.1.3/32"])

    def meddle() -> None:
        if one := next(came, ""):
            edge.put(*edge.ip_set(), one)

    tamper("wafv2.UpdateIPSet", meddle)
    assert step(edge.params("wafv2", "198.51.100.7"), "changed")["changed"]
    assert edge.ip_set() == ["185.1.1.1/32", "185.1.1.2/32", "185.1.1.3/32", "198.51.100.7/32"]


def test_a_lock_that_is_never_won_is_given_up(edge: Aws, tamper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_wafv2, "GIVE_UP", 0.3)
    tamper("wafv2.UpdateIPSet", lambda: refused("WAFOptimisticLockException", "someone changed the resource"))
    with pytest.raises(Failure, match="AWS refused update_ip_set: WAFOptimisticLockException"):
        step(edge.params("wafv2", "198.51.100.7"), "changed")
    assert edge.ip_set() == []


def test_what_others_have_in_the_set_keeps_its_own_words(edge: Aws) -> None:
    """moto takes entries that AWS would not."""
    edge.put("garbage", "185.1.1.1/32", "10.0.0.1/8")
    step(edge.params("wafv2", "198.51.100.7"), "changed")
    assert edge.ip_set() == ["garbage", "185.1.1.1/32", "10.0.0.1/8", "198.51.100.7/32"]
    record = {"captured": {"blocked": []}, "sets": {"blocked": ["198.51.100.7"]}, "on": {"backend": "wafv2"}}
    step(edge.params("wafv2"), "changed", record=record, force=True)
    assert edge.ip_set() == ["garbage", "185.1.1.1/32", "10.0.0.1/8"]


def test_a_set_that_no_rule_uses_is_called_a_failure_and_the_addresses_are_in_it(edge: Aws) -> None:
    done = block(edge.irctl(), "waf", "198.51.100.7")
    assert (done.code, done.host("waf")["outcome"]) == (FAILED, "failed")
    assert done.host("waf")["reason"] == (
        "Verify: 1 address is in the list. The set blocked-v4 blocks nothing: no rule of the web ACL shop uses it. "
        "--create-rule yes makes one."
    )
    assert edge.ip_set() == ["198.51.100.7/32"]
    checked = block(edge.irctl(), "waf", "198.51.100.8", "--allow-private yes", "--check")
    assert "The set blocked-v4 blocks nothing" in checked.host("waf")["reason"], "a dry run says so too"


def test_the_rule_is_made_on_request_before_all_others_and_nothing_else_is_touched(edge: Aws) -> None:
    geo = {"GeoMatchStatement": {"CountryCodes": ["AT"]}}
    edge.with_rules({"Priority": 0, "Action": {"Allow": {}}, "Statement": geo})
    irctl = edge.irctl()
    before = edge.web_acl()
    checked = block(irctl, "waf", "198.51.100.7", "2a00:1450:4::1", "--create-rule yes", "--check")
    assert checked.host("waf")["reason"].startswith("2 addresses would be blocked, what blocks them would be made")
    assert edge.web_acl() == before
    done = block(irctl, "waf", "198.51.100.7", "2a00:1450:4::1", "--create-rule yes")
    assert (done.code, done.host("waf")["reason"]) == (0, "2 addresses blocked, what blocks them made, 2 in the list"), done.err
    ours, theirs = sorted(edge.web_acl()["Rules"], key=lambda rule: int(rule["Priority"]))
    assert (ours["Name"], ours["Priority"], ours["Action"]) == ("irctl-block-ip", 0, {"Block": {}})
    references = [one["IPSetReferenceStatement"]["ARN"] for one in ours["Statement"]["OrStatement"]["Statements"]]
    assert references == [edge.arn(4), edge.arn(6)]
    assert theirs == {**before["Rules"][0], "Priority": 1}
    kept = ("Name", "Id", "ARN", "DefaultAction", "VisibilityConfig")
    assert [edge.web_acl().get(key) for key in kept] == [before.get(key) for key in kept]
    again = block(irctl, "waf", "198.51.100.7", "--create-rule yes")
    assert (again.code, again.json["outcome"]) == (0, "unchanged")


def test_a_rule_of_ours_takes_in_the_other_set_when_that_is_needed_too(edge: Aws) -> None:
    assert do_all(edge.params("wafv2", "198.51.100.7", create_rule=True))["changed"]
    assert do_all(edge.params("wafv2", "2a00:1450:4::1", create_rule=True))["changed"]
    [rule] = edge.web_acl()["Rules"]
    assert len(rule["Statement"]["OrStatement"]["Statements"]) == 2
    assert step(edge.params("wafv2", "198.51.100.7", "2a00:1450:4::1"), "proved")["msg"] == "2 addresses blocked"


def test_a_web_acl_that_somebody_else_changes_meanwhile_keeps_their_rule(edge: Aws, tamper: Any) -> None:
    others = iter([{**edge.blocking(6, "Count"), "Name": "theirs"}])

    def meddle() -> None:
        if one := next(others, None):
            edge.with_rules(one)

    tamper("wafv2.UpdateWebACL", meddle)
    step(edge.params("wafv2", "198.51.100.7", create_rule=True), "changed")
    assert [rule["Name"] for rule in edge.web_acl()["Rules"]] == ["irctl-block-ip", "theirs"]


def test_a_rule_that_only_counts_or_asks_for_more_does_not_count(edge: Aws) -> None:
    params = edge.params("wafv2", "198.51.100.7")
    step(params, "changed")
    edge.with_rules(edge.blocking(4, "Count"))
    with pytest.raises(Failure, match="the rule rule-0 of the web ACL shop has the action Count, not Block"):
        step(params, "proved")
    both = {"AndStatement": {"Statements": [edge.blocking()["Statement"], {"GeoMatchStatement": {"CountryCodes": ["AT"]}}]}}
    edge.with_rules({"Priority": 1, "Action": {"Block": {}}, "Statement": both})
    with pytest.raises(Failure, match="use it together with other conditions only"):
        step(params, "proved")


def test_a_rule_that_allows_before_ours_is_named(edge: Aws) -> None:
    geo = {"GeoMatchStatement": {"CountryCodes": ["AT"]}}
    office = {"Priority": 1, "Action": {"Allow": {}}, "Statement": geo, "Name": "office"}
    edge.with_rules(office, edge.blocking(priority=5), {**office, "Name": "later", "Priority": 9})
    do_all(edge.params("wafv2", "198.51.100.7"))
    proved = step(edge.params("wafv2", "198.51.100.7"), "proved")
    assert proved["in_short"] == "1 in the list, allowed before it by the web ACL: office"


def test_addresses_of_a_version_without_a_set_are_refused(edge: Aws) -> None:
    host = edge.waf_host()
    del host["edge_wafv2_name_v6"]
    done = block(edge.irctl(waf=host), "waf", "198.51.100.7", "2a00:1450:4::1")
    assert (done.code, done.host("waf")["reason"]) == (REFUSED, "No set for IPv6 is named; set edge_wafv2_name_v6.")
    assert edge.writes() == []


def test_a_set_of_the_other_version_is_not_written(edge: Aws) -> None:
    with pytest.raises(Failure, match="The IP set blocked-v6 holds IPV6 addresses, not IPV4"):
        step(edge.params("wafv2", "198.51.100.7", wafv2_name_v4="blocked-v6", wafv2_name_v6=None), "listed")


def test_what_is_for_cloudfront_is_asked_of_one_region_only(edge: Aws) -> None:
    with pytest.raises(ValueError, match="sets of scope CLOUDFRONT lie in us-east-1"):
        step(edge.params("wafv2", "198.51.100.7", wafv2_scope="CLOUDFRONT"), "listed")
    assert edge.sent() == []
    elsewhere = {"Scope": "CLOUDFRONT", "Name": "world", "IPAddressVersion": "IPV4", "Addresses": []}
    waf = boto3.client(
        "wafv2", endpoint_url=edge.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    made = waf.create_ip_set(**elsewhere)["Summary"]
    names = {"wafv2_name_v4": "world", "wafv2_name_v6": None, "wafv2_web_acl": None, "region": None}
    step(edge.params("wafv2", "198.51.100.7", wafv2_scope="CLOUDFRONT", **names), "changed")
    held = waf.get_ip_set(Name="world", Scope="CLOUDFRONT", Id=made["Id"])["IPSet"]
    assert held["Addresses"] == ["198.51.100.7/32"]


def test_a_missing_set_is_named_with_the_way_to_make_it(edge: Aws) -> None:
    done = block(edge.irctl(waf=edge.waf_host(edge_wafv2_name_v4="nosuch")), "waf", "198.51.100.7")
    assert done.code == FAILED
    assert "There is no IP set 'nosuch' of scope REGIONAL. Make it once: aws wafv2 create-ip-set" in done.host("waf")["reason"]


# --- network ACLs ---


def test_deny_entries_come_before_the_first_rule_that_allows_and_all_others_stay(edge: Aws) -> None:
    irctl = edge.irctl()
    edge.add_rule(2, "185.1.1.1/32")
    before = edge.rules()
    edge.forget()
    checked = block(irctl, "acl", "198.51.100.7", "2a00:1450:4::/48", "--check")
    assert (checked.code, checked.host("acl")["reason"]) == (0, "2 addresses would be blocked, 1 in the list"), checked.err
    assert edge.writes() == []
    done = block(irctl, "acl", "198.51.100.7", "185.1.1.1", "2a00:1450:4::/48")
    assert (done.code, done.host("acl")["reason"]) == (0, "2 addresses blocked, 3 in the list"), done.err
    assert edge.denied() == {1: "198.51.100.7/32", 2: "185.1.1.1/32", 3: "2a00:1450:4::/48"}
    for operation, asked in edge.writes():
        assert operation == "CreateNetworkAclEntry"
        assert (asked["Egress"], asked["Protocol"], asked["RuleAction"]) == ("false", "-1", "deny")
        assert "DryRun" not in asked, "moto's makes the entry"
    assert block(irctl, "acl", "198.51.100.7", "2a00:1450:4::/48").json["outcome"] == "unchanged"
    back = irctl("revert", done.json["run"], "--json")
    assert (back.code, back.host("acl")["reason"]) == (0, "2 addresses let through again, 1 in the list"), back.err
    assert edge.rules() == before


def test_an_entry_that_somebody_makes_meanwhile_is_stepped_over(edge: Aws, tamper: Any) -> None:
    came = iter([(1, "185.1.1.1/32"), (2, "185.1.1.2/32")])

    def meddle() -> None:
        for number, cidr in came:
            edge.add_rule(number, cidr)
            return

    tamper("ec2.CreateNetworkAclEntry", meddle)
    step(edge.params("nacl", "198.51.100.7", "198.51.100.7"), "changed")
    assert edge.denied() == {1: "185.1.1.1/32", 2: "185.1.1.2/32", 3: "198.51.100.7/32"}


def test_more_entries_than_the_quota_are_refused_before_any_is_made(edge: Aws) -> None:
    """Two of the twenty are the rule that allows and AWS's own last one."""
    done = block(edge.irctl(), "acl", *addresses(19))
    why = f"19 IPv4 entries would be added to {edge.nacl}, but it holds 0 and has room for 18 more."
    assert (done.code, done.host("acl")["reason"]) == (REFUSED, why)
    assert edge.writes() == []
    assert block(edge.irctl(), "acl", *addresses(18)).code == 0
    assert len(edge.denied()) == 18


def test_numbers_that_both_versions_share_are_counted_once(edge: Aws) -> None:
    edge.add_rule(4, "192.0.2.0/24", "allow")
    edge.forget()
    words = (*addresses(2), "2a00:1450:4::1", "2a00:1450:4::2")
    for more in ((), ("--check",)):
        done = block(edge.irctl(), "acl", *words, *more)
        assert (done.code, "has room for 1 more" in done.host("acl")["reason"]) == (REFUSED, True), done.out
    assert edge.writes() == []


def test_a_dry_run_makes_no_promise_that_the_change_would_not_keep(edge: Aws) -> None:
    vpc = edge.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    edge.nacl = edge.client("ec2").create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    edge.forget()
    for host, more in (("acl", {}), ("waf", {"edge_wafv2_web_acl": ""})):
        about = edge.nacl_host() if host == "acl" else edge.waf_host(**more)
        done = block(edge.irctl(**{host: about}), host, "198.51.100.7", "--create-rule yes --check")
        assert (done.code, edge.writes()) == (FAILED, []), done.out


def test_no_number_below_the_first_rule_that_allows_is_no_room(edge: Aws) -> None:
    edge.add_rule(3, "192.0.2.0/24", "allow")
    edge.forget()
    done = block(edge.irctl(), "acl", *addresses(3))
    assert (done.code, "has room for 2 more" in done.host("acl")["reason"]) == (REFUSED, True), done.out
    assert edge.writes() == []


def test_a_deny_after_a_rule_that_allows_or_for_one_port_is_no_block(edge: Aws) -> None:
    edge.add_rule(200, "198.51.100.7/32")
    params = edge.params("nacl", "198.51.100.7")
    with pytest.raises(Failure, match=r"Not in the list: 198\.51\.100\.7"):
        step(params, "proved")
    do_all(params)
    assert edge.denied() == {1: "198.51.100.7/32", 200: "198.51.100.7/32"}


def test_a_revert_finds_its_entries_whatever_number_is_the_first_now_and_names_those_that_it_leaves(edge: Aws) -> None:
    edge.add_rule(200, "198.51.100.7/32")
    done = block(edge.irctl(acl=edge.nacl_host(edge_nacl_first_rule=10)), "acl", "198.51.100.7")
    assert edge.denied() == {10: "198.51.100.7/32", 200: "198.51.100.7/32"}, done.err
    moved = edge.irctl(acl=edge.nacl_host(edge_nacl_first_rule=50))
    assert block(moved, "acl", "198.51.100.7").json["outcome"] == "unchanged"
    back = moved("revert", done.json["run"], "--json")
    assert edge.denied() == {200: "198.51.100.7/32"}, back.err
    reason = "1 address let through again, 0 in the list, rule 200 denies 198.51.100.7 after a rule that allows, and is left alone"
    assert (back.code, back.host("acl")["reason"]) == (0, reason)


def test_what_was_made_before_aws_refused_in_the_middle_is_told_and_can_be_taken_out(edge: Aws, tamper: Any) -> None:
    calls = iter(range(9))
    tamper("ec2.CreateNetworkAclEntry", lambda: refused("NetworkAclEntryLimitExceeded", "full") if next(calls) == 2 else None)
    params = edge.params("nacl", *addresses(4))
    found = step(params, "listed")["found"]
    record = json.loads(step(params, "captured", found=found)["evidence"]["revert.json"])
    with pytest.raises(Failure, match=r"NetworkAclEntryLimitExceeded: full 2 of 4 were added before that"):
        step(params, "changed", found=found)
    assert len(edge.denied()) == 2
    assert step(params, "changed", record=record)["msg"] == "2 addresses let through again, 2 gone already"
    assert edge.denied() == {}


def test_a_network_acl_of_no_subnet_blocks_nothing(edge: Aws) -> None:
    vpc = edge.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    edge.nacl = edge.client("ec2").create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    params = edge.params("nacl", "198.51.100.7")
    step(params, "changed")
    with pytest.raises(Failure, match="blocks nothing: no subnet is associated with it"):
        step(params, "proved")


# --- what is never blocked ---


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("45.155.1.9", "overlaps 45.155.1.0/24, protected by the inventory"),
        ("45.155.0.0/22", "overlaps 45.155.1.0/24, protected by the inventory"),
        ("45.155.205.77", "overlaps 45.155.205.0/24, a network of vpc-"),
        ("45.155.204.0/23", "overlaps 45.155.205.0/24, a network of vpc-"),
    ],
)
@pytest.mark.parametrize("host", ["waf", "acl"])
def test_a_protected_network_is_refused_either_way_round_and_nothing_is_written(edge: Aws, host: str, text: str, why: str) -> None:
    done = block(edge.irctl(), host, text, "198.51.100.7", "--widest-v4 16")
    assert (done.code, done.host(host)["outcome"]) == (REFUSED, "refused"), done.err
    assert why in done.host(host)["reason"]
    assert edge.writes() == []


def test_our_own_public_addresses_are_refused(edge: Aws) -> None:
    done = block(edge.irctl(), "waf", edge.own, "--allow-private yes")
    assert (done.code, "an Elastic IP address of our own" in done.host("waf")["reason"]) == (REFUSED, True), done.out
    assert edge.writes() == []


@pytest.mark.parametrize("operation", ["DescribeVpcs", "DescribeNetworkInterfaces", "DescribeAddresses"])
def test_where_it_cannot_be_read_what_is_protected_nothing_is_written(edge: Aws, tamper: Any, operation: str) -> None:
    tamper(f"ec2.{operation}", lambda: refused("UnauthorizedOperation", "You are not authorized", 403))
    for state in ("listed", "changed"):
        with pytest.raises(Failure, match="the role may not do that"):
            step(edge.params("wafv2", "198.51.100.7"), state)
    assert edge.writes() == []


def test_without_protected_networks_in_the_inventory_nothing_is_blocked_unless_it_says_there_are_none(edge: Aws) -> None:
    edge.with_rules(edge.blocking())
    edge.forget()
    for given, code in (([], REFUSED), (None, REFUSED), (["10.0.0.0/33"], INVALID)):
        done = block(edge.irctl(waf=edge.waf_host(edge_protected=given)), "waf", "198.51.100.7")
        assert (done.code, "protected" in done.out) == (code, True), done.out
    assert edge.sent() == []
    none = edge.waf_host(edge_protected=[], edge_protected_none=True)
    assert block(edge.irctl(waf=none), "waf", "198.51.100.7").code == 0


@pytest.mark.parametrize("text", ["10.0.0.1", "169.254.169.254", "91.0.0.0/8"])
def test_what_must_not_be_blocked_is_refused_before_anything_is_asked(edge: Aws, text: str) -> None:
    done = block(edge.irctl(), "waf", text, "198.51.100.7")
    assert (done.code, done.host("waf")["outcome"]) == (REFUSED, "refused")
    assert edge.sent() == []


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "d41d8cd98f00b204e9800998ecf8427e", "example.com", "91.0.0.1/8", "010.1.2.3", "::ffff:91.0.0.1"]
)
def test_what_is_no_address_is_bad_input_and_no_run_begins(edge: Aws, text: str) -> None:
    irctl = edge.irctl()
    done = irctl("remediate", "block-ip", "--host", "waf", "--address", "198.51.100.7", "--address", text)
    assert (done.code, len(done.err.splitlines())) == (INVALID, 1), done.err
    assert done.err.startswith("error: --address: ")
    assert done.err.endswith(f"(got '{text}')\n")
    assert edge.sent() == []
    assert not (irctl.home / "runs").exists()


def test_a_backend_that_the_inventory_does_not_name_is_asked_for(edge: Aws) -> None:
    done = block(edge.irctl(waf=edge.host), "waf", "198.51.100.7")
    assert (done.code, "block_ip_backend: what kind of place blocks has to be set" in done.out) == (FAILED, True)


# --- the command ---


def test_addresses_come_from_options_a_file_and_standard_input(edge: Aws) -> None:
    edge.with_rules(edge.blocking(4, priority=1), edge.blocking(6, priority=2))
    irctl = edge.irctl()
    (edge.folder / "list").write_text("# seen in the logs\n91.0.0.1\n\n91.0.1.0/24\n")
    words = ["remediate", "block-ip", "--host", "waf", "--address", "198.51.100.7", "--address", f"@{edge.folder}/list"]
    process = subprocess.run(
        [sys.executable, "-m", "irctl", *words, "--address", "@-"], input="2a00:1450:4::1\n91.0.0.2\n", text=True, timeout=100,
        env={**os.environ, "IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory)}, capture_output=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert edge.ip_set(4) == ["91.0.0.1/32", "91.0.0.2/32", "91.0.1.0/24", "198.51.100.7/32"]
    assert len(edge.ip_set(6)) == 1


def test_standard_input_that_names_nothing_is_bad_input(edge: Aws) -> None:
    done = edge.irctl()("remediate", "block-ip", "--host", "waf", "--address", "@-")
    assert (done.code, done.err) == (INVALID, "error: --address: standard input names nothing (got '@-')\n")
    assert edge.sent() == []


def test_two_edges_at_once_and_one_that_fails_is_partial(edge: Aws) -> None:
    done = irctl_of_both(edge)
    assert (done.code, done.host("acl")["outcome"], done.host("waf")["outcome"]) == (PARTIAL, "changed", "failed"), done.out


def irctl_of_both(edge: Aws) -> Done:
    return edge.irctl()("remediate", "block-ip", "--host", "waf", "--host", "acl", "--address", "198.51.100.7", "--json")


@pytest.mark.parametrize("host", ["waf", "acl"])
def test_a_drill_lets_its_attacker_through_and_blocks_it_again(edge: Aws, host: str) -> None:
    edge.with_rules(edge.blocking())
    irctl = edge.irctl()
    assert block(irctl, host, "198.51.100.7").code == 0
    played = play(edge, "fault", host)
    assert "failed=0" in played, played
    assert (edge.ip_set(), edge.denied()) == ([], {})
    assert "failed=1" in play(edge, "verify", host)
    assert "changed=0" in play(edge, "fault", host)
    assert block(irctl, host, "198.51.100.7").json["outcome"] == "changed"
    assert "failed=0" in play(edge, "verify", host)


def test_no_fault_is_made_where_the_inventory_does_not_allow_it(edge: Aws) -> None:
    edge.put("198.51.100.7/32")
    edge.irctl(waf=edge.waf_host(irctl_drills="no"))
    assert "does not mark waf with irctl_drills: allowed" in play(edge, "fault", "waf")
    assert edge.ip_set() == ["198.51.100.7/32"]
    done = block(edge.irctl(waf=edge.waf_host(irctl_drills="no")), "waf", "198.51.100.7")
    assert (done.code, "is in 198.51.100.0/24, for documentation" in done.out) == (REFUSED, True)


def play(edge: Aws, entry: str, host: str) -> str:
    """Plain ansible-playbook on the inventory that irctl used last."""
    from tests.conftest import ROOT

    given = {"irctl_target": host, "irctl_entry_point": entry, "run_evidence_root": str(edge.folder / "played")}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "irctl.runbooks.block_ip", "-i", edge.folder / "hosts.yml",
         "-e", json.dumps({**given, "block_ip_address": ["198.51.100.7"]})],
        env={"PATH": os.environ["PATH"], "HOME": str(edge.folder), "LANG": "C.UTF-8", "ANSIBLE_COLLECTIONS_PATH": str(ROOT)},
        cwd=edge.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return " ".join((done.stdout + done.stderr).split())


def test_a_list_made_anew_since_is_left_alone_unless_forced(edge: Aws) -> None:
    edge.with_rules(edge.blocking())
    irctl = edge.irctl()
    done = block(irctl, "waf", "198.51.100.7")
    edge.with_rules()
    waf, held = edge.client("wafv2"), edge._get(4)
    waf.delete_ip_set(Name="blocked-v4", Id=held["IPSet"]["Id"], LockToken=held["LockToken"], **FRESH)
    waf.create_ip_set(Name="blocked-v4", IPAddressVersion="IPV4", Addresses=["198.51.100.7/32"], **FRESH)
    back = irctl("revert", done.json["run"], "--json")
    assert (back.code, "is not the list that was changed" in back.out) == (REFUSED, True), back.out
    assert edge.ip_set() == ["198.51.100.7/32"]
    assert irctl("revert", done.json["run"], "--force", "--json").code == 0
    assert edge.ip_set() == []


def test_a_lease_ends_with_its_own_addresses_and_another_block_goes_on(edge: Aws) -> None:
    edge.with_rules(edge.blocking())
    irctl = edge.irctl()
    assert irctl("leases", "run-due", "--every", "1m").code == 0
    assert block(irctl, "waf", "91.1.1.1", "--for 4s").code == 0
    assert block(irctl, "waf", "91.1.1.2").code == 0
    assert edge.ip_set() == ["91.1.1.1/32", "91.1.1.2/32"]
    time.sleep(4)
    ended = irctl("leases", "run-due", "--every", "1m")
    assert (ended.code, "ended: block-ip on waf" in ended.out) == (0, True), ended.out + ended.err
    assert edge.ip_set() == ["91.1.1.2/32"]


# --- credentials ---


def test_no_secret_is_in_what_is_said_or_kept(edge: Aws) -> None:
    irctl = edge.irctl()
    done = [block(irctl, "waf", "198.51.100.7", "--create-rule yes", *more) for more in ((), ("-vvv",))]
    assert done[0].code == 0, done[0].err
    kept = b"".join(path.read_bytes() for path in irctl.home.rglob("*") if path.is_file())
    for text in (*(one.out + one.err for one in done), kept.decode("utf-8", "replace")):
        assert SECRET not in text
        assert "AKIAIOSFODNN7EXAMPLE" not in text


@pytest.mark.parametrize("setting", ["aws_credentials_file", "aws_config_file"])
def test_a_file_of_credentials_that_is_open_to_others_is_refused(edge: Aws, setting: str) -> None:
    path = edge.folder / "open"
    path.write_text("[edge]\n")
    path.chmod(0o644)
    done = block(edge.irctl(waf=edge.waf_host(**{setting: str(path)})), "waf", "198.51.100.7")
    assert (done.code, f"{setting} {path} is open to others (mode 0644); make it 0600." in done.out) == (FAILED, True), done.out
    assert edge.sent() == []


def test_a_profile_that_is_not_there_and_credentials_that_are_not_there_are_said(edge: Aws) -> None:
    with pytest.raises(Failure, match=r"AWS cannot be asked: The config profile \(nosuch\) could not be found"):
        step(edge.params("wafv2", "198.51.100.7", profile="nosuch"), "listed")


def test_a_server_that_does_not_answer_is_unreachable(edge: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    with pytest.raises(Unreachable, match="AWS does not answer"):
        step(edge.params("wafv2", "198.51.100.7", endpoint=f"http://127.0.0.1:{free_port()}"), "listed")


def test_what_is_signed_does_not_go_in_clear_to_another_machine(edge: Aws) -> None:
    for endpoint in ("http://192.0.2.1:5000", "ftp://127.0.0.1", "127.0.0.1:5000", "http://localhost.example.com"):
        with pytest.raises(ValueError, match="aws_endpoint: an https address is needed"):
            step(edge.params("wafv2", "198.51.100.7", endpoint=endpoint), "listed")


def test_a_signature_error_quotes_nothing_of_the_request(edge: Aws, tamper: Any) -> None:
    tamper("wafv2.ListIPSets", lambda: refused("SignatureDoesNotMatch", "x-amz-security-token:FwoGZXIvYXdzEBYaD", 403))
    with pytest.raises(Failure) as caught:
        step(edge.params("wafv2", "198.51.100.7"), "listed")
    assert (
        str(caught.value) == "AWS refused list_ip_sets: SignatureDoesNotMatch. Look at the credentials and at this machine's clock."
    )
