"""What irctl says of rules of nftables, held against what the attacker reaches by a real kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.edge.namespaces import ATTACKER, NO_NFT, PORT, TALK, Net

TABLE = """
add table inet irctl
add set inet irctl blocked_v4 {{ type ipv4_addr; flags interval,timeout; {} }}
"""
PUBLISHED = 9000  # a port of the edge that leads to the neighbour
DNAT = f"""
add table ip docker
add chain ip docker pre {{ type nat hook prerouting priority -100; }}
add rule ip docker pre ip daddr 198.51.100.1 tcp dport {PUBLISHED} dnat to 203.0.113.9:{PORT}
"""


DROPPING = "add rule inet irctl in ip saddr @blocked_v4 drop"


def write(net: Net, rules: str, own: str = "") -> None:
    net.forward(False)
    script = net.folder / "rules"
    script.write_text((TABLE.format(own) + rules).replace("DROP", DROPPING))
    net.nft("-f", str(script))


@pytest.mark.parametrize(
    ("rules", "said", "reaches"),
    [
        ("add chain inet irctl in {{ type filter hook {} priority 0; }}\nDROP", "blocked", 0),
        ("add chain inet irctl log-drop\nadd rule inet irctl log-drop limit rate 5/minute log prefix \"x\"\n"
         "add rule inet irctl log-drop counter drop\nadd chain inet irctl in {{ type filter hook {} priority 0; }}\n"
         "add rule inet irctl in ip saddr @blocked_v4 jump log-drop", "blocked", 0),
        ("add chain inet irctl in {{ type filter hook {} priority 0; }}\n"
         "add rule inet irctl in meta nfproto ipv4 ip saddr @blocked_v4 counter drop", "blocked", 0),
        ("add chain inet irctl in {{ type filter hook {} priority 0; }}\n"
         "add rule inet irctl in iifname lo ip saddr @blocked_v4 drop", "refused", 1),
        ("add chain inet irctl most\nadd rule inet irctl most tcp dport 8080 return\nadd rule inet irctl most drop\n"
         "add chain inet irctl in {{ type filter hook {} priority 0; }}\nadd rule inet irctl in ip saddr @blocked_v4 jump most",
         "refused", 1),
        ("add chain inet irctl ours\nadd rule inet irctl ours tcp dport 8080 accept\n"
         "add chain inet irctl in {{ type filter hook {} priority 0; }}\nadd rule inet irctl in jump ours\n"
         "DROP", "refused", 1),
        ("add chain inet irctl ours\nadd rule inet irctl ours tcp dport 8080 counter\n"
         "add chain inet irctl in {{ type filter hook {} priority 0; }}\nadd rule inet irctl in jump ours\n"
         "DROP", "blocked", 0),
    ],
    ids=["drop", "jump to a chain that logs and drops", "the version too", "another condition", "a chain that drops most",
         "a chain that accepts first", "a chain that counts first"],
)  # fmt: skip
@pytest.mark.parametrize("hook", ["prerouting", "input"])
def test_a_rule_is_called_a_block_only_where_the_attacker_gets_no_answer(
    net: Net, rules: str, said: str, reaches: int, hook: str
) -> None:
    write(net, rules.format(hook))
    outcome, why = net.outcome(ATTACKER)
    if said == "refused":
        net.nft("add", "element", "inet", "irctl", "blocked_v4", f"{{ {ATTACKER} }}")
    assert (outcome, net.reaches("attacker"), net.reaches("neighbour")) == (said, bool(reaches), True), why


def test_a_drop_at_input_lets_by_what_dnat_leads_past_it(net: Net) -> None:
    write(
        net,
        "add chain inet irctl in { type filter hook input priority 0; }\nDROP\n" + DNAT,
    )
    net.forward(True)
    net.serve("neighbour")
    outcome, why = net.outcome(ATTACKER)
    assert (outcome, "this host forwards" in why) == ("refused", True), why
    net.nft("add", "element", "inet", "irctl", "blocked_v4", f"{{ {ATTACKER} }}")
    assert (net.reaches("attacker"), net.reaches("attacker", "198.51.100.1", PUBLISHED)) == (False, True)
    assert net.outcome(ATTACKER)[0] == "failed"
    assert net.outcome(ATTACKER, create_rule=True)[0] == "blocked"
    assert not net.reaches("attacker", "198.51.100.1", PUBLISHED)


def test_a_chain_of_type_nat_cuts_no_connection_that_is_under_way(net: Net) -> None:
    write(
        net,
        "add chain inet irctl in { type nat hook prerouting priority -150; }\nDROP\n",
    )
    talks = net.start("attacker", sys.executable, "-c", TALK, "198.51.100.1", str(PORT))
    assert talks.stdin
    assert talks.stdout
    assert talks.stdout.readline() == "welcome\n"
    outcome, why = net.outcome(ATTACKER)
    assert (outcome, "of type nat, which sees new connections only" in why) == ("refused", True), why
    net.nft("add", "element", "inet", "irctl", "blocked_v4", f"{{ {ATTACKER} }}")
    assert net.outcome(ATTACKER)[0] == "failed", "who is in the list already talks on"
    assert net.outcome(ATTACKER, create_rule=True)[0] == "blocked"
    talks.stdin.write("and\n")
    talks.stdin.flush()
    assert talks.wait(timeout=10) != 0


def flowtables() -> str:
    """Why this kernel has none; '' where it has."""
    script = "add table inet t\nadd flowtable inet t f { hook ingress priority 0; devices = { lo }; }\n"
    done = subprocess.run(["unshare", "--net", "nft", "-f", "-"], input=script, text=True, capture_output=True)
    return "this kernel has no flowtables" if done.returncode else ""


@pytest.mark.skipif(bool(NO_NFT or flowtables()), reason=NO_NFT or flowtables())
def test_a_flowtable_is_no_proof_until_somebody_vouches_for_it(net: Net) -> None:
    write(net, "add chain inet irctl in { type filter hook prerouting priority -300; }\nDROP\n"
          "add table inet router\n"
          "add flowtable inet router fast { hook ingress priority 0; devices = { to-attacker, to-neighbour }; }\n")  # fmt: skip
    outcome, why = net.outcome(ATTACKER)
    assert (outcome, "because of 'flowtable' in inet router fast" in why) == ("undecided", True), why
    assert net.outcome(ATTACKER, vouched=["inet router fast"])[0] == "blocked"


def test_a_rule_that_writes_another_source_leads_past_the_set(net: Net) -> None:
    """The answer goes to the other address, so it is the kernel's counter that shows that nothing was dropped."""
    write(net, "add chain inet irctl in { type filter hook prerouting priority -300; }\n"
          f"add rule inet irctl in ip saddr {ATTACKER} ip saddr set 198.51.100.77\n"
          "add rule inet irctl in ip saddr @blocked_v4 counter drop\n")  # fmt: skip
    outcome, why = net.outcome(ATTACKER)
    assert (outcome, "because of 'saddr set' in inet irctl in" in why) == ("undecided", True), why
    assert not net.reaches("attacker")
    assert "counter packets 0 bytes 0 drop" in net.nft("list", "table", "inet", "irctl")


def test_a_set_that_lets_go_by_itself_is_no_block_for_good(net: Net) -> None:
    rules = "add chain inet irctl in { type filter hook prerouting priority 0; }\nDROP\n"
    write(net, rules, own="timeout 1h;")
    outcome, why = net.outcome(ATTACKER)
    assert (outcome, "lets go of everything after 1h" in why, net.held()) == ("refused", True, []), why
    assert (net.outcome(ATTACKER, seconds=7200)[0], net.held()) == ("blocked", [(ATTACKER, 7200)])


def test_names_with_a_hyphen_are_names(net: Net) -> None:
    assert net.outcome(ATTACKER, nft_table="inet my-edge", nft_set="bad-hosts", create_rule=True)[0] == "blocked"
    assert not net.reaches("attacker")
    assert "set bad-hosts_v4" in net.nft("list", "table", "inet", "my-edge")
