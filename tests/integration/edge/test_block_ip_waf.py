"""block-ip by IP sets of AWS WAF, as far as moto is AWS: what goes out is looked at too, because moto takes what AWS refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import waf as block_wafv2
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from irctl.errors import FAILED, REFUSED
from tests.integration.edge.aws import Aws, addresses, addresses_v6, block, do_all, refused, step

pytest.importorskip("moto")


def test_addresses_are_blocked_then_found_blocked_and_a_revert_takes_out_only_those(edge: Aws) -> None:
    irctl = edge.irctl()
    edge.put("185.1.1.1/32", "185.1.2.0/24")
    edge.with_rules(edge.blocking(4, priority=0), edge.blocking(6, priority=1))
    edge.forget()
    checked = block(irctl, "waf", "198.51.100.7", "185.1.2.9", "2a00:1450:4::/48", "--check")
    assert (checked.code, checked.host("waf")["outcome"]) == (0, "changed"), checked.err
    assert checked.host("waf")["reason"] == "2 addresses would be blocked, 2 in the list"
    exactly = [item["address"] for item in checked.host("waf")["affected"]["items"]]
    assert exactly == ["198.51.100.7", "2a00:1450:4::/48"], "what is blocked already is not among them"
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
        "--create-rule makes one."
    )
    assert edge.ip_set() == ["198.51.100.7/32"]
    checked = block(edge.irctl(), "waf", "198.51.100.8", "--allow-private", "--check")
    assert "The set blocked-v4 blocks nothing" in checked.host("waf")["reason"], "a dry run says so too"


def test_the_rule_is_made_on_request_before_all_others_and_nothing_else_is_touched(edge: Aws) -> None:
    geo = {"GeoMatchStatement": {"CountryCodes": ["AT"]}}
    edge.with_rules({"Priority": 0, "Action": {"Allow": {}}, "Statement": geo})
    irctl = edge.irctl()
    before = edge.web_acl()
    checked = block(irctl, "waf", "198.51.100.7", "2a00:1450:4::1", "--create-rule", "--check")
    assert checked.host("waf")["reason"].startswith("2 addresses would be blocked, what blocks them would be made")
    assert edge.web_acl() == before
    done = block(irctl, "waf", "198.51.100.7", "2a00:1450:4::1", "--create-rule")
    assert (done.code, done.host("waf")["reason"]) == (0, "2 addresses blocked, what blocks them made, 2 in the list"), done.err
    ours, theirs = sorted(edge.web_acl()["Rules"], key=lambda rule: int(rule["Priority"]))
    assert (ours["Name"], ours["Priority"], ours["Action"]) == ("irctl-block-ip", 0, {"Block": {}})
    references = [one["IPSetReferenceStatement"]["ARN"] for one in ours["Statement"]["OrStatement"]["Statements"]]
    assert references == [edge.arn(4), edge.arn(6)]
    assert theirs == {**before["Rules"][0], "Priority": 1}
    kept = ("Name", "Id", "ARN", "DefaultAction", "VisibilityConfig")
    assert [edge.web_acl().get(key) for key in kept] == [before.get(key) for key in kept]
    again = block(irctl, "waf", "198.51.100.7", "--create-rule")
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
