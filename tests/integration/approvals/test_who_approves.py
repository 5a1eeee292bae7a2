"""Who may approve: distinct people with keys of their own, in roles that they hold; nobody who only looks like one of them."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.integration.approvals.conftest import Office, ago, signers


def test_who_requests_does_not_approve(office: Office) -> None:
    plan = office.ask(who="dan@example.com")
    office.refused(
        office.approve(plan, "dan@example.com", "security"), "the request is of dan@example.com, and who requests does not"
    )
    assert not (office.home / "approvals").exists()


def test_nobody_requests_in_the_name_of_another(office: Office) -> None:
    done = office.by("ana@example.com", "request", "freeze", "--host", "here", key="dan@example.com")
    office.refused(done, "it says that it is of ana@example.com, and dan@example.com signed it")
    assert not (office.home / "requests").exists()


@pytest.mark.parametrize("name", ["Dan@example.com", "ｄan@example.com", "dan", "dän@example.com"])
def test_a_look_alike_of_a_name_is_nobody(office: Office, name: str) -> None:
    plan = office.ask(who="dan@example.com")
    office.refused(office.approve(plan, name, "security", key="dan@example.com"), "is nobody whom")
    office.refused(office.by(name, "request", "freeze", "--host", "here", key="dan@example.com"), "is nobody whom")


@pytest.mark.parametrize("variant", ["Dan@example.com", "dan"])
def test_a_look_alike_in_the_allowed_signers_file_is_not_another_person(office: Office, variant: str) -> None:
    lines = (office.keys / "allowed").read_text().replace("ben@example.com", variant)
    other = office.folder / "allowed"
    other.write_text(lines)
    plan = office.ask(who="dan@example.com")
    done = office.approve(plan, variant, "incident-commander", key="ben@example.com", IRCTL_ALLOWED_SIGNERS=str(other))
    assert done.code in (2, 5)
    assert "a principal in lower case" in done.err or "the request is of dan@example.com" in done.err
    assert not (office.home / "approvals").exists()


def test_one_person_does_not_approve_in_two_roles(office: Office) -> None:
    plan = office.ask()
    assert office.approve(plan, "dan@example.com", "security").code == 0
    office.refused(
        office.approve(plan, "dan@example.com", "incident-commander"), "dan@example.com approved as security, and roles are"
    )
    carried = office.folder / "second.json"
    elsewhere = {"IRCTL_HOME": str(office.folder / "elsewhere")}
    shutil.copytree(office.home / "requests", office.folder / "elsewhere" / "requests")
    assert office.approve(plan, "dan@example.com", "incident-commander", "--out", str(carried), **elsewhere).code == 0
    office.refused(office.run("--plan", plan, "--approval", str(carried)), "roles are different people")


def test_a_role_that_somebody_does_not_hold_is_not_his(office: Office) -> None:
    plan = office.ask()
    office.refused(office.approve(plan, "ben@example.com", "security"), "ben@example.com does not hold the role security")
    office.refused(office.approve(plan, "ben@example.com", "finance"), "freeze needs no approval as finance")


def test_a_role_that_was_taken_away_since_does_not_count(office: Office) -> None:
    office.approved()
    less = office.folder / "less"
    less.write_text((office.keys / "allowed").read_text().replace("roles=security", "roles=finance"))
    done = office.run("--host", "here", IRCTL_ALLOWED_SIGNERS=str(less))
    office.refused(done, "cyd@example.com does not hold the role security")


def test_an_allowed_signers_file_that_others_can_write_to_proves_nothing(office: Office) -> None:
    office.approved()
    open_to_all = office.folder / "open"
    shutil.copy(office.keys / "allowed", open_to_all)
    open_to_all.chmod(0o666)
    office.refused(office.run("--host", "here", IRCTL_ALLOWED_SIGNERS=str(open_to_all)), "others can write to the file", code=2)
    folder = office.folder / "shared"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    shutil.copy(office.keys / "allowed", folder)
    done = office.run("--host", "here", IRCTL_ALLOWED_SIGNERS=str(folder / "allowed"))
    office.refused(done, "others can write to the folder", code=2)


def test_one_key_under_two_names_is_one_person(office: Office) -> None:
    """Also where the second name has it inside a certificate, or is another key of a person who has both."""
    two = {"IRCTL_ALLOWED_SIGNERS": signers(office, "two", "gil@example.com {ben} roles=security")}
    plan = office.ask()
    assert office.approve(plan, "ben@example.com", "incident-commander", **two).code == 0
    done = office.approve(plan, "gil@example.com", "security", key="ben@example.com", **two)
    office.refused(done, "gil@example.com cannot approve as security: ben@example.com approved as incident-commander")
    hers = {"IRCTL_ALLOWED_SIGNERS": signers(office, "hers", "ana@example.com {eve}", "hal@example.com {eve} roles=security")}
    done = office.approve(office.ask(), "hal@example.com", "security", key="eve@example.com", **hers)
    office.refused(done, "hal@example.com cannot approve: the request is of ana@example.com")


def test_a_certificate_is_no_second_key(office: Office) -> None:
    for name in ("ben@example.com", "ben@example.com.pub"):
        shutil.copy(office.keys / name, office.folder)
    words = ["ssh-keygen", "-q", "-s", office.keys / "eve@example.com", "-I", "x", "-n", "gil@example.com"]
    subprocess.run([*words, office.folder / "ben@example.com.pub"], check=True)
    cert = " ".join((office.folder / "ben@example.com-cert.pub").read_text().split()[:2])
    for number, line in enumerate(
        (f"gil@example.com {cert} roles=security", "gil@example.com Cert-Authority {eve} roles=security")
    ):
        two = {"IRCTL_ALLOWED_SIGNERS": signers(office, f"cert{number}", line)}
        plan = office.ask()
        assert office.approve(plan, "ben@example.com", "incident-commander", **two).code == 0, "the other lines are used"
        key = str(office.folder / "ben@example.com-cert.pub")
        done = office.by("gil@example.com", "approve", plan, "--as", "security", "--yes", IRCTL_SIGNING_KEY=key, **two)
        assert done.code in (1, 5), done
        office.refused(done, "", code=done.code)
        office.refused(office.run("--plan", plan, **two), "waits for the approval of security")


def test_forged_and_edited_approvals_are_refused(office: Office) -> None:
    plan = office.approved()
    slot = office.home / "approvals" / plan / "security.json"
    good = slot.read_bytes()
    commander = json.loads((slot.parent / "incident-commander.json").read_bytes())
    cases = {
        "cyd@example.com: it is not a signature of these words": {"signed_at": ago(seconds=1)},
        "fay@example.com: it is not a signature of these words": {"principal": "fay@example.com"},
        "was edited: it is an approval as incident-commander": {"role": "incident-commander"},
        "ben@example.com: it is not a signature of these words": {**commander, "role": "security"},
        "is not approval-1": {"signature": "trust me"},
    }
    for why, changes in cases.items():
        office.edit(slot, **changes)
        office.refused(office.run("--plan", plan), why)
        slot.write_bytes(good)
    slot.write_bytes(good.replace(b",", b", ", 1))
    office.refused(office.run("--plan", plan), "was edited: it is not byte for byte")
    slot.rename(office.folder / "elsewhere.json")
    slot.symlink_to(office.folder / "elsewhere.json")
    office.refused(office.run("--plan", plan), "is a link, and none is followed")


def test_a_signature_of_a_key_that_is_not_allowed_is_refused_where_it_is_made_and_where_it_is_used(office: Office) -> None:
    plan = office.ask()
    done = office.approve(plan, "cyd@example.com", "security", key="eve@example.com")
    office.refused(done, "cyd@example.com: no key in")
    mine = office.folder / "mine"
    line = (office.keys / "allowed").read_text().splitlines()
    stranger = " ".join((office.keys / "eve@example.com.pub").read_text().split()[:2])
    mine.write_text("\n".join([one for one in line if "cyd" not in one] + [f"cyd@example.com {stranger} roles=security"]) + "\n")
    done = office.approve(plan, "cyd@example.com", "security", key="eve@example.com", IRCTL_ALLOWED_SIGNERS=str(mine))
    assert done.code == 0, "on a machine of hers"
    assert office.approve(plan, "ben@example.com", "incident-commander").code == 0
    office.refused(office.run("--plan", plan), "cyd@example.com: no key in")
