"""The account that the scenario block_ip works on: `edge.py up|down|wafv2|nacl FOLDER`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # Ansible runs this by its path

from tests.servers import cloud, processes

REGION = "eu-central-1"
NEIGHBOUR, ATTACKER = "203.0.113.9/32", "198.51.100.7/32"
SEEN = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "shop"}


def main(word: str, folder: Path) -> None:
    {"up": up, "down": down, "wafv2": wafv2, "nacl": nacl}[word](folder)


def up(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    url = cloud.start(folder)
    (folder / "url").write_text(url)
    credentials = folder / "credentials"
    credentials.touch(mode=0o600)
    credentials.write_text("[edge]\naws_access_key_id = edge\naws_secret_access_key = edge\n")
    reach = {"aws_region": REGION, "aws_endpoint": url, "aws_profile": "edge", "aws_credentials_file": str(credentials)}
    both = {"ansible_connection": "local", "irctl_drills": "allowed", "edge_protected": ["192.0.2.0/24"], **reach}
    waf = {"block_ip_backend": "wafv2", "edge_wafv2_name_v4": "blocked", "edge_wafv2_web_acl": "shop"}
    hosts = {"waf": waf, "acl": {"block_ip_backend": "nacl", "edge_nacl_id": make(folder)}}
    text = yaml.safe_dump({"edge": {"hosts": hosts, "vars": both}})
    (folder / "hosts.yml").write_text(text)


def make(folder: Path) -> str:
    """Make what the scenario needs, the attacker and a neighbour of his denied in it; return the id of the network ACL."""
    waf, ec2 = client(folder, "wafv2"), client(folder, "ec2")
    waf.create_ip_set(Name="blocked", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[NEIGHBOUR, ATTACKER])
    waf.create_web_acl(Name="shop", Scope="REGIONAL", DefaultAction={"Allow": {}}, Rules=[], VisibilityConfig=SEEN)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")
    [acl] = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
    about = {"NetworkAclId": acl["NetworkAclId"], "Protocol": "-1", "RuleAction": "deny", "Egress": False}
    for number, cidr in enumerate((NEIGHBOUR, ATTACKER), 1):
        ec2.create_network_acl_entry(RuleNumber=number, CidrBlock=cidr, **about)
    (folder / "acl").write_text(acl["NetworkAclId"])
    return str(acl["NetworkAclId"])


def down(folder: Path) -> None:
    processes.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def client(folder: Path, service: str) -> Any:
    url = (folder / "url").read_text()
    return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id="look", aws_secret_access_key="look")


def wafv2(folder: Path) -> None:
    waf = client(folder, "wafv2")
    [known] = waf.list_ip_sets(Scope="REGIONAL")["IPSets"]
    denied = waf.get_ip_set(Name="blocked", Scope="REGIONAL", Id=known["Id"])["IPSet"]["Addresses"]
    [acl] = waf.list_web_acls(Scope="REGIONAL")["WebACLs"]
    rules = waf.get_web_acl(Name="shop", Scope="REGIONAL", Id=acl["Id"])["WebACL"]["Rules"]
    print(json.dumps({"denied": denied, "rules": [rule["Name"] for rule in rules]}))


def nacl(folder: Path) -> None:
    [acl] = client(folder, "ec2").describe_network_acls(NetworkAclIds=[(folder / "acl").read_text()])["NetworkAcls"]
    ours = [one for one in acl["Entries"] if one["RuleAction"] == "deny" and not one["Egress"] and one["RuleNumber"] < 32767]
    print(json.dumps({"denied": [one["CidrBlock"] for one in sorted(ours, key=lambda one: int(one["RuleNumber"]))]}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
