"""What holds for block-ip with either backend of AWS: what is never blocked, the command, drills, leases and credentials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from irctl.errors import FAILED, INVALID, PARTIAL, REFUSED
from irctl.lab.postgres import free_port
from tests.conftest import Done
from tests.integration.edge.aws import FRESH, SECRET, Aws, block, refused, step

pytest.importorskip("moto")


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
    done = block(edge.irctl(), "waf", edge.own, "--allow-private")
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
    (edge.folder / "list").write_text("\ufeff# seen in the logs\r\n91.0.0.1 # often\r\n\n91[.]0[.]1[.]0 - 91.0.1.255\n")
    (edge.folder / "feed.csv").write_text("seen,ip\n2026-11-21,91.0.3.3\n")
    words = ["remediate", "block-ip", "--host", "waf", "--address", "198.51.100.7", "--address", f"@{edge.folder}/list"]
    words += ["--address", f"@{edge.folder}/feed.csv:ip"]
    process = subprocess.run(
        [sys.executable, "-m", "irctl", *words, "--address", "@-"], input="2a00:1450:4::1\n91.0.0.2\n", text=True, timeout=100,
        env={**os.environ, "IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory)}, capture_output=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert edge.ip_set(4) == ["91.0.0.1/32", "91.0.0.2/32", "91.0.1.0/24", "91.0.3.3/32", "198.51.100.7/32"]
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
    waf, held = edge.client("wafv2"), edge.get(4)
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
    done = [block(irctl, "waf", "198.51.100.7", "--create-rule", *more) for more in ((), ("-vvv",))]
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
