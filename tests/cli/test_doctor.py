"""The doctor tells the truth about settings, within 80 columns."""

from __future__ import annotations

from pathlib import Path

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
