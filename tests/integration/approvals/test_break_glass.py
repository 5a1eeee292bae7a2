"""Breaking the glass with real keys: allowed, loud, signed, and countersigned by somebody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from irctl.record import journal
from irctl.record.journal import canonical
from tests.integration.approvals.conftest import Office, ago, one_line, signers

GLASS = ("--host", "here", "--break-glass", "nobody who may approve answers the phone")


def test_the_glass_is_not_broken_where_the_configuration_does_not_allow_it(office: Office) -> None:
    office.refused(office.run(*GLASS), "--break-glass: the configuration does not allow it")
    office.collection.role("thaw", about={"approvals": []})
    done = office.by("ana@example.com", "remediate", "thaw", *GLASS, IRCTL_BREAK_GLASS="24h")
    office.refused(done, "--break-glass: no such option", code=2)
    office.refused(office.run(*GLASS, IRCTL_BREAK_GLASS="soon"), "IRCTL_BREAK_GLASS: a duration is", code=2)
    assert not (office.home / "uncountersigned").exists()


def test_breaking_the_glass_is_loud_and_every_command_says_so_until_somebody_else_countersigns(office: Office) -> None:
    done = office.by("dan@example.com", "remediate", "freeze", "--json", *GLASS, IRCTL_BREAK_GLASS="24h")
    assert (done.code, office.ran) == (0, True), done.err
    assert (
        "warning: BREAKING THE GLASS: freeze without the approval of incident-commander and security, by dan@example.com"
        in done.err
    )
    run = done.json["run"]
    begun = json.loads((Path(done.json["folder"]) / "run.json").read_text())["approval"]
    assert (begun["break_glass"], begun["by"]) == (GLASS[-1], "dan@example.com")
    checked = office.by("ana@example.com", "evidence", "verify", done.json["run"])
    assert (checked.code, "dan@example.com broke the glass: nobody who may approve" in checked.out) == (0, True), checked
    said = f"warning: run {run} broke the glass"
    for words in (["runs"], ["approvals"], ["doctor"], ["remediate", "freeze", "--host", "here", "--check"]):
        assert said in office.by("ana@example.com", *words).err, words
    own = office.by("dan@example.com", "approvals", "countersign", run, "--as", "security")
    assert (own.code, "dan@example.com cannot countersign" in own.err) == (5, True)
    wrong = office.by("ben@example.com", "approvals", "countersign", run, "--as", "security")
    assert (wrong.code, "does not hold the role security" in wrong.err) == (5, True)
    forged = office.by("cyd@example.com", "approvals", "countersign", run, "--as", "security", key="eve@example.com")
    assert (forged.code, "no key in" in forged.err) == (5, True)
    assert said in office.by("ana@example.com", "runs").err
    assert office.by("cyd@example.com", "approvals", "countersign", run, "--as", "security").code == 0
    assert office.by("ana@example.com", "runs").err == ""
    assert "no run waits to be countersigned" in one_line(office.by("ana@example.com", "doctor").out)
    again = office.by("ben@example.com", "approvals", "countersign", run, "--as", "incident-commander")
    assert (again.code, "was countersigned before, by cyd@example.com" in again.err) == (5, True)
    last = office.journal()[-1]
    assert (last["event"], last["by"], last["late"]) == ("countersigned", "cyd@example.com", False)


def test_a_countersignature_that_is_late_is_overdue_and_a_removed_marker_does_not_hide_it(
    office: Office, wait_until: Callable[..., Any]
) -> None:
    done = office.by("dan@example.com", "remediate", "freeze", "--json", *GLASS, IRCTL_BREAK_GLASS="1s")
    run = done.json["run"]
    wait_until(lambda: "is OVERDUE since" in office.by("ana@example.com", "runs").err)
    (office.home / "uncountersigned" / f"{run}.json").unlink()
    assert "is OVERDUE since" in office.by("ana@example.com", "doctor").out
    assert office.by("fay@example.com", "approvals", "countersign", run, "--as", "security").code == 0
    assert office.journal()[-1]["late"] is True
    assert "OVERDUE" not in office.by("ana@example.com", "doctor").out


def test_an_unsigned_line_in_the_journal_is_no_countersignature(office: Office) -> None:
    run = office.by("dan@example.com", "remediate", "freeze", "--json", *GLASS, IRCTL_BREAK_GLASS="24h").json["run"]
    (office.home / "uncountersigned" / f"{run}.json").unlink()
    journal.append(office.home, {"event": "countersigned", "run": run, "role": "security", "by": "cyd@example.com", "late": False})
    said = "must be countersigned by"
    assert said in one_line(office.by("ana@example.com", "doctor").out)
    path = office.home / "countersigned" / f"{run}.json"
    path.parent.mkdir()
    manifest = hashlib.sha256((office.home / "runs" / run / "manifest.json").read_bytes()).hexdigest()
    forged = {"schema": "irctl/countersign/1", "run": run, "manifest": manifest, "role": "security", "principal": "cyd@example.com"}
    armour = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    path.write_bytes(canonical({**forged, "signed_at": ago(seconds=1), "signature": armour}) + b"\n")
    assert said in one_line(office.by("ana@example.com", "doctor").out)
    path.unlink()
    assert office.by("cyd@example.com", "approvals", "countersign", run, "--as", "security").code == 0
    assert "no run waits to be countersigned" in one_line(office.by("ana@example.com", "doctor").out)
    path.unlink()
    assert said in one_line(office.by("ana@example.com", "doctor").out)


def test_who_breaks_the_glass_signs_that_and_another_key_countersigns(office: Office) -> None:
    done = office.by("dan@example.com", "remediate", "freeze", *GLASS, key="eve@example.com", IRCTL_BREAK_GLASS="24h")
    office.refused(done, "dan@example.com: no key in")
    done = office.by("dan@example.com", "remediate", "freeze", *GLASS, IRCTL_SIGNING_KEY="", IRCTL_BREAK_GLASS="24h")
    office.refused(done, "signing_key: it is not set", code=2)
    office.refused(office.run(*GLASS, IRCTL_BREAK_GLASS="73h"), "break_glass: at most 3d", code=2)
    assert not (office.home / "uncountersigned").exists()
    two = {"IRCTL_ALLOWED_SIGNERS": signers(office, "two", "gil@example.com {dan} roles=security"), "IRCTL_BREAK_GLASS": "24h"}
    run = office.by("dan@example.com", "remediate", "freeze", "--json", *GLASS, **two).json["run"]
    words = ("approvals", "countersign", run, "--as", "security")
    own = office.by("gil@example.com", *words, key="dan@example.com", **two)
    assert (own.code, "gil@example.com cannot countersign: dan@example.com broke the glass" in own.err) == (5, True), own


def test_a_run_that_was_refused_waits_for_no_countersignature(office: Office) -> None:
    office.collection.role("stuck", None, {"approvals": ["security"]}, guard="ansible.builtin.fail: {msg: It cannot be done now.}")
    glass = {"IRCTL_BREAK_GLASS": "24h"}
    done = office.by("dan@example.com", "remediate", "stuck", "--json", *GLASS, **glass)
    assert (done.code, done.json["outcome"]) == (5, "refused"), done
    assert office.by("ana@example.com", "runs").err == ""
    assert "no run waits to be countersigned" in one_line(office.by("ana@example.com", "doctor").out)
    signed = office.by("cyd@example.com", "approvals", "countersign", done.json["run"], "--as", "security")
    assert (signed.code, "was refused and changed nothing" in signed.err) == (2, True), signed


def test_what_is_countersigned_is_the_record_as_it_was_sealed(office: Office) -> None:
    run = office.by("dan@example.com", "remediate", "freeze", "--json", *GLASS, IRCTL_BREAK_GLASS="24h").json["run"]
    (office.home / "runs" / run / "result.json").write_text("{}")
    done = office.by("cyd@example.com", "approvals", "countersign", run, "--as", "security")
    assert (done.code, "is not as it was sealed" in done.err) == (8, True)
    assert not (office.home / "countersigned").exists()
