"""The doctor tells the truth about settings, within 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Irctl

BROKEN = {
    "severity_profile": ("acme", "not a severity profile; known are linguamate,"),
    "break_glass": ("24", "a time with a unit is needed, such as 24h"),
    "signing_key": ("/nosuch/key", "no such file"),
    "allowed_signers": ("/nosuch/signers", "cannot be read"),
    "vault_password_file": ("/nosuch/password", "/nosuch/password: no such file or directory"),
    "vault_ids": ("prod@/nosuch/client", "/nosuch/client: no such file or directory"),
    "timestamp_url": ("ftp://x", "it must begin with http:// or https://"),
}


def test_every_broken_setting_is_told_with_the_place_to_change_it(irctl: Irctl, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("".join(f"{key}: {value}\n" for key, (value, _) in BROKEN.items()))
    done = irctl("doctor", "--json", IRCTL_CONFIG=str(path))
    assert done.code == 1
    checks = {check["name"]: check for check in done.json["checks"] if not check["good"]}
    for key, (value, why) in BROKEN.items():
        assert why in checks[key]["says"]
        assert checks[key]["says"].endswith(f"(got '{value}')")
        assert checks[key]["mend"] == f"change it: {path}"
    assert done.json["settings"]["break_glass"] == {"value": "24", "origin": str(path)}


def test_content_that_cannot_be_read_is_told_beside_all_else_with_the_command_that_tells_more(irctl: Irctl, tmp_path: Path) -> None:
    done = irctl("doctor", "--json", IRCTL_CONTENT="/nosuch", IRCTL_ALLOWED_SIGNERS="/nosuch/signers")
    assert done.code == 1
    bad = {check["name"]: check for check in done.json["checks"] if not check["good"]}
    assert bad["content"]["says"] == "/nosuch is not a collection: it needs a galaxy.yml with namespace and name"
    assert bad["content"]["mend"] == "irctl content check /nosuch"
    assert "allowed_signers" in bad
    assert "signers" not in bad, "it is said once"
    assert irctl("content", "new", "x", "--dir", str(tmp_path / "acme"), "--collection", "a.b").code == 0
    definition = tmp_path / "acme" / "roles" / "x" / "meta" / "remediation.yml"
    definition.write_text(definition.read_text().replace("severity: low", "severity: lwo"))
    [check] = [
        one for one in irctl("doctor", "--json", IRCTL_CONTENT=str(tmp_path / "acme")).json["checks"] if one["name"] == "content"
    ]
    assert check["says"] == f"{definition}: severity: one of low, medium, high, critical is needed (got 'lwo')"
    definition.write_text("a: [")
    checked = irctl("content", "check", str(tmp_path / "acme"))
    assert (checked.code, checked.out.splitlines()[-1]) == (1, "a.b: 1 fault"), "what cannot be read is told once"


def test_where_there_is_no_inventory_yet_the_way_to_one_is_told_once(irctl: Irctl) -> None:
    irctl.inventory = Path()
    done = irctl("doctor", "--json", IRCTL_INVENTORY="")
    [check] = [one for one in done.json["checks"] if one["name"] == "inventory"]
    assert check["says"].startswith("no such file or directory; `irctl init` writes a first one, and `irctl lab up` starts a lab")
    assert "->" not in irctl("doctor", IRCTL_INVENTORY="").out.partition("inventory")[2].partition("countersigning")[0]


@pytest.mark.parametrize(("text", "why"), [
    ("colour: x\ncolor: y\n", "unknown setting color, colour; known are inventory, home,"),
    ("home: a\ninventory: b\nhome: c\n", "home is there twice; which one is meant cannot be known"),
    ("- home\n", "lines such as `inventory: /etc/irctl/inventory` are needed; known are inventory,"),
])  # fmt: skip
def test_a_configuration_that_says_too_much_or_nothing_is_refused(irctl: Irctl, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config.yml").write_text(text)
    done = irctl("doctor", IRCTL_CONFIG=str(tmp_path / "config.yml"))
    assert (done.code, done.err.startswith(f"error: {tmp_path / 'config.yml'}: {why}")) == (2, True), done.err


def test_lines_of_the_signers_that_are_not_used_are_told_before_they_are_needed(irctl: Irctl, tmp_path: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINJPLZ0ZdRbNJxRJjKrQajRNdBOpp07VphD2pfG9mr9R"
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ana@example.com {key}\nBen@example.com {key}\ncyd@example.com {key} roles=not-a-role!\n")
    allowed.chmod(0o600)
    done = irctl("doctor", "--json", IRCTL_ALLOWED_SIGNERS=str(allowed))
    [check] = [check for check in done.json["checks"] if check["name"] == "signers"]
    assert (done.code, check["good"], check["needed"]) == (0, False, False)
    assert "line 2 is not used: " in check["says"]
    assert "line 3 is not used: " in check["says"]
    assert "line 1" not in check["says"]


def test_settings_that_are_right_are_not_complained_of(irctl: Irctl) -> None:
    done = irctl(
        "doctor", "--json", IRCTL_BREAK_GLASS="24h", IRCTL_SEVERITY_PROFILE="custody", IRCTL_TIMESTAMP_URL="https://tsa.example"
    )
    assert done.code == 0
    assert not {check["name"] for check in done.json["checks"] if not check["good"]} & set(BROKEN)


def test_no_line_is_wider_than_80_columns_but_one_of_a_single_long_word(irctl: Irctl) -> None:
    lines = irctl("doctor", COLUMNS="80", IRCTL_SEVERITY_PROFILE="acme").out.splitlines()
    assert [line for line in lines if len(line) > 80 and " " in line[20:].strip()] == []


def test_no_two_checks_of_irctl_itself_have_one_name(irctl: Irctl) -> None:
    names = [check["name"] for check in irctl("doctor", "--json").json["checks"]]
    of_remediations = {"postgres", *irctl("catalog", "--json").out.split('"')}
    own = [name for name in names if name.removeprefix("diagnose ") not in of_remediations]
    assert len(own) == len(set(own)), own
    assert {"approvals", "countersigning", "lab", "lab AWS"} <= set(own)
