"""The evidence pack of a real incident: what is in it, who signed it, and what its home knows of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from irctl.record import journal, seal, verify
from tests.cli.conftest import listing
from tests.integration.incidents.packs import Case, found, new_key
from tests.schemas import faults


def test_a_pack_has_the_layout_that_the_runbook_demands(case: Case) -> None:
    done = case.pack()
    assert (done.code, done.err) == (0, "")
    assert faults("manifest-1", verify.read_manifest(case.folder)[0]) == []
    names, _ = verify.contents(case.folder)
    asked = {"README.md", "timeline.md", "changes.json", "approvals.json", "impact-assessment.md", "rca.md"}
    asked |= {"manifest.json", "verify.py"}
    assert asked <= names
    assert {"journal.jsonl", "manifest.json.sig"} <= names
    assert any(name.startswith("logs/frontend-20") and name.endswith(".log") for name in names)
    runs = [name for name in names if name.startswith("runs/") and name.endswith("/result.json")]
    assert len(runs) == 2
    assert len(names) > 50
    assert (case.folder / "verify.py").read_bytes() == Path(verify.__file__).read_bytes()
    assert all(not path.stat().st_mode & 0o077 for path in case.folder.rglob("*"))


def test_a_pack_says_what_is_still_missing_and_is_sealed_all_the_same(case: Case) -> None:
    done = case.pack()
    assert done.code == 0
    assert any("root cause" in sentence for sentence in done.json["missing"])
    assert done.json["troubles"] == []
    plain = case.irctl("incident", "pack", case.incident)
    assert f"{case.incident} is sealed and signed: " in plain.out
    assert "still missing: the root cause analysis" in plain.out


def test_a_pack_verifies_in_its_home_and_on_a_copy(case: Case, tmp_path: Path) -> None:
    case.pack()
    done = case.verify("", "--allowed-signers", str(case.allowed))
    assert (done.code, done.err) == (0, "")
    assert (done.json["intact"], done.json["anchored"], done.json["notes"]) == (True, True, [])
    assert done.json["signer"].startswith("ana@example.com with SHA256:")
    shutil.copytree(case.folder, tmp_path / "copy")
    assert case.verify(tmp_path / "copy").json["anchored"]
    elsewhere = case.irctl("evidence", "verify", str(tmp_path / "copy"), "--home", str(tmp_path / "elsewhere"))
    assert elsewhere.code == 0
    assert "lines of its journal match, no journal here knows it: UNANCHORED\n" in elsewhere.out
    assert "(signer not known here)\n" in elsewhere.out
    assert not (tmp_path / "elsewhere").exists()


def test_a_copy_is_checked_by_python_alone(case: Case, tmp_path: Path) -> None:
    case.pack()
    shutil.copytree(case.folder, tmp_path / "copy")
    shutil.rmtree(case.home)
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    words = [python, "-I", "verify.py", ".", "--allowed-signers", case.allowed]
    done = subprocess.run(words, cwd=tmp_path / "copy", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "signed by ana@example.com with SHA256:" in done.stdout
    log = next((tmp_path / "copy" / "logs").glob("*.log"))
    log.write_bytes(log.read_bytes()[:-1])
    done = subprocess.run(words, cwd=tmp_path / "copy", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (8, "")
    assert done.stdout.startswith(f"changed  logs/{log.name}\n")


def test_a_pack_in_one_file_is_handed_on_and_checked_as_it_is(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "pack.tar"
    packed = case.pack("--tar", str(file))
    assert packed.json["tar"] == {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert file.stat().st_mode & 0o777 == 0o600
    again = case.irctl("incident", "pack", case.incident, "--tar", str(file))
    assert (again.code, "a new file whose name ends in .tar" in again.err) == (2, True), "no file is written over"
    checked = case.verify(file, "--allowed-signers", str(case.allowed), "--require-signer", "ana@example.com")
    assert (checked.code, checked.json["intact"], checked.json["anchored"]) == (0, True, True), checked
    shutil.rmtree(case.home)
    noted = ["--manifest-hash", packed.json["manifest"], "--require-signer", "ana@example.com", "--allowed-signers", case.allowed]
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    words = [python, "-I", verify.__file__, file, *noted]
    done = subprocess.run(words, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "signed by ana@example.com with SHA256:" in done.stdout


def test_what_is_required_of_a_pack_and_not_proved_is_exit_8(case: Case, tmp_path: Path) -> None:
    case.pack()
    shutil.copytree(case.folder, tmp_path / "copy")
    elsewhere = ["evidence", "verify", str(tmp_path / "copy"), "--home", str(tmp_path / "elsewhere")]
    assert case.irctl(*elsewhere).code == 0, "right where nobody is required"
    known = [*elsewhere, "--allowed-signers", str(case.allowed)]
    for words, number in (
        ([*elsewhere, "--require-signer", "ana@example.com"], 2),
        ([*known, "--require-signer", "ana@example.com"], 1),
        ([*known, "--require-signer", "ben@example.com"], 2),
    ):
        done = case.irctl(*words, "--json")
        assert (done.code, done.json["intact"]) == (8, True), "it is as it was sealed, and not proved as required"
        assert [one["kind"] for one in done.json["differences"]] == ["unproved"] * number
    assert case.irctl(*known, "--require-signer", "ana@example.com").out.count("NOT proved as required") == 1
    case.pack("--unsigned")
    assert case.verify("", "--require-signer", "ana@example.com").code == 8, "known to the journal, and signed by nobody"


def test_the_pack_explains_itself_to_a_reader_who_does_not_know_irctl(case: Case) -> None:
    assert case.pack().code == 0
    text = (case.folder / "README.md").read_text()
    words = ("UNANCHORED", "NOT signed", "signer not known here", "changed", "missing", "added", "reordered", "swapped")
    assert [word for word in words if word not in text] == []
    kinds = [path.name for path in case.folder.iterdir()]
    unexplained = [name for name in kinds if name not in text and not name.startswith("post-mortem-") and name != "README.md"]
    assert unexplained == []
    texts = [path.read_text(errors="replace") for path in case.folder.glob("*.md")]
    assert not [text for text in texts if re.search(r"\b(aureus|custody|linguamate|spywatcher|cryptoorchestrator):[0-9]", text)]


def test_each_pack_names_the_one_before_and_packing_twice_is_no_harm(case: Case) -> None:
    first, second = case.pack(), case.pack()
    about, digest = verify.read_manifest(case.folder)
    assert about["previous"] == first.json["manifest"]
    assert digest == second.json["manifest"]
    assert case.differences() == []
    told = [entry for entry in journal.read(case.home) if entry["event"] == "pack-sealed"]
    assert [entry["manifest"] for entry in told] == [first.json["manifest"], digest]


def test_what_people_wrote_is_theirs(case: Case) -> None:
    case.pack()
    (case.folder / "rca.md").write_text("# Root cause: a full disk\n")
    assert case.differences() == ["changed: rca.md"]
    assert case.pack().code == 0
    assert (case.folder / "rca.md").read_text() == "# Root cause: a full disk\n"
    assert case.differences() == []


def test_without_a_key_a_pack_says_plainly_that_it_is_not_signed(case: Case) -> None:
    assert case.pack().json["signed"]
    for words, environment in ((["--unsigned"], {}), ([], {"IRCTL_SIGNING_KEY": ""})):
        done = case.pack(*words, **environment)
        assert (done.code, done.json["signed"]) == (0, None)
        assert not (case.folder / "manifest.json.sig").exists()
        assert case.differences() == []
    assert "NOT signed" in case.irctl("incident", "pack", case.incident, "--unsigned").out
    assert "NOT signed" in case.irctl("evidence", "verify", case.incident).out


def test_a_key_that_is_none_is_refused_and_the_pack_is_as_it_was(case: Case) -> None:
    case.pack()
    before = listing(case.home / "incidents")
    done = case.irctl("incident", "pack", case.incident, IRCTL_SIGNING_KEY=str(case.logs / "app" / "1.log"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: signing_key: ")
    assert listing(case.home / "incidents") == before


@pytest.mark.parametrize("odd", ["link", "pipe"])
def test_what_is_no_file_cannot_be_packed_and_the_pack_is_as_it_was(case: Case, odd: str) -> None:
    case.pack()
    path = case.folder / "logs" / "odd"
    path.symlink_to("/etc/passwd") if odd == "link" else os.mkfifo(path)
    before = listing(case.home / "incidents")
    done = case.irctl("incident", "pack", case.incident)
    assert done.code == 8
    assert done.err == f"error: {path} is not a regular file; a pack holds nothing else: move it away\n"
    assert listing(case.home / "incidents") == before


def test_journal_lines_after_the_seal_are_no_harm_in_the_home(case: Case, tmp_path: Path) -> None:
    case.pack()
    assert case.irctl("evidence", "hold", case.incident, "Claim 4711").code == 0
    done = case.verify()
    assert (done.code, done.json["anchored"], done.json["held"]) == (0, True, "Claim 4711")
    assert done.json["notes"] == ["1 line of journal.jsonl came later, to be sealed by the next pack"]
    shutil.copytree(case.folder, tmp_path / "copy")
    elsewhere = case.verify(tmp_path / "copy", "--home", str(tmp_path / "elsewhere"))
    assert elsewhere.code == 8
    [one] = elsewhere.json["differences"]
    assert one["kind"] == "added"
    assert elsewhere.json["held"] == "Claim 4711"


def cut_tail(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-number]))


def test_a_tail_that_was_cut_off_after_the_last_pack_shows_in_the_home(case: Case) -> None:
    case.pack()
    for number in range(3):
        case.irctl("incident", "note", case.incident, f"note {number}")
    cut_tail(case.folder / "journal.jsonl", 2)
    [said] = case.differences()
    assert said.startswith("missing: journal.jsonl: 2 lines are missing at the end (the journal of this home knows line ")


def test_a_line_that_was_forged_after_the_last_pack_shows_in_the_home(case: Case) -> None:
    case.pack()
    case.irctl("incident", "note", case.incident, "the truth")
    path = case.folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"the truth", b"the lie!!"))
    [said] = case.differences()
    assert said.startswith("changed: journal.jsonl: line ")


def test_a_line_that_only_the_incident_knows_is_unanchored(case: Case) -> None:
    """What a process leaves that was killed between the two journals; nobody can say who wrote it."""
    case.pack()
    journal.append(case.folder, {"event": "note", "text": "x", "by": "ana"})
    done = case.verify()
    assert done.code == 0
    assert done.json["notes"] == ["the journal of this home does not know the last line of journal.jsonl: UNANCHORED"]


def test_an_older_pack_that_was_put_back_whole_is_found_out(case: Case, tmp_path: Path) -> None:
    case.pack()
    shutil.copytree(case.folder, tmp_path / "older")
    case.irctl("incident", "note", case.incident, "embarrassing")
    case.pack()
    done = case.irctl("evidence", "verify", str(tmp_path / "older"))
    assert done.code == 8
    assert "older " in done.out
    assert "but it is NOT the newest pack" in done.out
    shutil.rmtree(case.folder)
    shutil.move(tmp_path / "older", case.folder)
    assert [said.split(" ")[0] for said in case.differences()] == ["older:", "missing:"]


def test_a_pack_that_was_sealed_anew_by_somebody_else_is_found_out(case: Case, tmp_path: Path) -> None:
    case.pack()
    folder = tmp_path / "forged"
    shutil.copytree(case.folder, folder)
    (folder / "rca.md").write_text("Nobody did anything wrong.")
    about = verify.read_manifest(folder)[0]
    files = seal.hashed(folder, set(about["files"]))
    forged = {key: value for key, value in about.items() if key != "digest"} | {"files": files, "signed": None}
    (folder / "manifest.json").write_bytes(seal.finished(forged))
    (folder / "manifest.json.sig").unlink()
    assert found(folder) == []
    done = case.verify(folder)
    assert done.code == 8
    assert done.json["differences"] == [{"kind": "changed", "name": "manifest.json (the journal knows another)"}]


def test_a_signer_whom_nobody_allowed_is_found_out(case: Case, tmp_path: Path) -> None:
    case.pack(IRCTL_SIGNING_KEY=str(new_key(tmp_path / "mallory")))
    assert case.verify().code == 0
    done = case.verify("", "--allowed-signers", str(case.allowed))
    assert done.code == 8
    [difference] = done.json["differences"]
    assert difference["kind"] == "unknown"
    assert difference["name"].startswith("manifest.json.sig (nobody is named with the key SHA256:")


def test_a_pack_whose_signature_was_stripped_and_that_was_sealed_anew_is_a_difference_where_signers_are_given(
    case: Case, tmp_path: Path
) -> None:
    case.pack("--unsigned")
    shutil.copytree(case.folder, tmp_path / "stripped")
    words = ("evidence", "verify", str(tmp_path / "stripped"), "--home", str(tmp_path / "elsewhere"))
    assert case.irctl(*words).code == 0
    done = case.irctl(*words, "--allowed-signers", str(case.allowed))
    assert (done.code, "unsigned" in done.out) == (8, True), done


def test_a_file_of_signers_that_others_can_write_proves_nothing(case: Case, tmp_path: Path) -> None:
    case.pack()
    shutil.copy(case.allowed, tmp_path / "allowed")
    (tmp_path / "allowed").chmod(0o666)
    done = case.irctl("evidence", "verify", case.incident, "--allowed-signers", str(tmp_path / "allowed"))
    assert done.code == 2
    assert "others can write to the file" in done.err


def test_a_run_that_is_not_as_it_was_sealed_is_left_out_and_told(case: Case) -> None:
    run = sorted((case.home / "runs").iterdir())[0]
    (run / "result.json").write_text("{}")
    done = case.pack()
    assert done.code == 8
    assert done.json["troubles"] == [f"run {run.name} is not packed as it was sealed: {run}: changed: result.json"]
    assert not (case.folder / "runs" / run.name).exists()
    assert case.differences() == []
    assert run.name in (case.folder / "journal.jsonl").read_text()


def test_a_run_that_was_sealed_anew_by_somebody_else_is_left_out_and_told(case: Case) -> None:
    run = sorted((case.home / "runs").iterdir())[0]
    (run / "result.json").write_text("{}")
    seal.seal(run, run.name)
    done = case.pack()
    assert done.code == 8
    assert done.json["troubles"][0].endswith(f"{run}: manifest.json is not the one that the journal knows")
    assert not (case.folder / "runs" / run.name).exists()


def test_what_was_captured_is_not_sealed_anew_in_silence(case: Case) -> None:
    case.pack()
    log = next((case.folder / "logs").glob("*.log"))
    log.write_text("nothing happened\n")
    done = case.pack()
    assert done.code == 8
    assert done.json["troubles"] == [f"changed since the last pack: logs/{log.name}"]
    assert "changed since the last pack" in (case.folder / "journal.jsonl").read_text()
