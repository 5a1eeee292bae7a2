"""What AWS says, in one line without secrets, and what is learnt from it of our own networks."""

from __future__ import annotations

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients


def test_a_message_of_aws_is_one_line_without_keys_or_tokens() -> None:
    text = "User: AKIAIOSFODNN7EXAMPLE\nhas wJalrXUtnFEMIKxK7MDENGxbPxRfiCYEXAMPLEKEY\x1b[31m and may not"
    shown = str(clients.explained("get_ip_set", {"Code": "AccessDeniedException", "Message": text}))
    assert "AKIA" not in shown
    assert "wJalr" not in shown
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert shown.startswith("AWS refused get_ip_set: the role may not do that (User: (hidden) has (hidden)")


def test_an_address_of_a_load_balancer_is_learnt_from_its_interface() -> None:
    class Ec2:
        def describe_vpcs(self, **given: Any) -> dict[str, Any]:
            first = {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": [{"CidrBlock": "10.1.0.0/16"}]}
            second = {"VpcId": "vpc-2", "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2a05:d014::/56"}]}
            return {"Vpcs": [second]} if given else {"Vpcs": [first], "NextToken": "more"}

        def describe_network_interfaces(self, **given: Any) -> dict[str, Any]:
            balancer = {"NetworkInterfaceId": "eni-1", "Description": "ELB app/shop", "Association": {"PublicIp": "91.7.1.1"}}
            other = {"NetworkInterfaceId": "eni-2", "PrivateIpAddresses": [{"Association": {"PublicIp": "91.7.1.2"}}, {}]}
            return {"NetworkInterfaces": [balancer, other]}

        def describe_addresses(self) -> dict[str, Any]:
            return {"Addresses": [{"PublicIp": "91.7.1.1"}, {"PublicIp": "91.7.1.3"}]}

    found = clients.own_networks(Ec2())
    assert {networks.shown(one): what for one, what in found.items()} == {
        "10.0.0.0/16": "a network of vpc-1",
        "10.1.0.0/16": "a network of vpc-1",
        "2a05:d014::/56": "a network of vpc-2",
        "91.7.1.1": "an address of our own (ELB app/shop)",
        "91.7.1.2": "an address of our own (eni-2)",
        "91.7.1.3": "an Elastic IP address of our own",
    }
