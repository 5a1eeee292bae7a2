"""The evidence pack of a real incident: sealed, signed, checked on a copy, and found out whatever is changed in it."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from irctl.catalog import config
from irctl.errors import Busy
from irctl.incidents import incidents, pack_place
from irctl.record import anchored_check, journal, seal, verify
from tests.cli.conftest import listing
from tests.conftest import Done, Irctl
from tests.integration.conftest import Collection
from tests.schemas import faults

FLIPS = 1000


@dataclass
class Case:
    """An incident with two runs, forty collected files, notes and a hold, packed and signed by ana."""

    irctl: Irctl
    incident: str
    key: Path
    allowed: Path
    logs: Path

    @property
    def home(self) -> Path:
        return self.irctl.home

    @property
    def folder(self) -> Path:
        return self.home / "incidents" / self.incident

    def pack(self, *words: str, **environment: str) -> Done:
        return self.irctl("incident", "pack", self.incident, "--json", *words, **environment)

    def verify(self, what: Path | str = "", *words: str) -> Done:
        return self.irctl("evidence", "verify", str(what or self.incident), "--json", *words)

    def settings(self) -> config.Settings:
        return config.load({"home": str(self.home)}, {"IRCTL_SIGNING_KEY": str(self.key)})

    def differences(self) -> list[str]:
        """As the home knows the pack, after finishing what a killed process left."""
        with pack_place.at_rest(self.home, self.incident):
            return [str(one) for one in anchored_check.check(self.folder, self.home).differences]


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path


def make_case(folder: Path) -> Case:
    collection = Collection(folder)
    irctl, key, allowed, logs = collection.irctl, new_key(folder / "key"), folder / "allowed", folder / "logs"
    allowed.write_text(f"ana@example.com {key.with_suffix('.pub').read_text().strip()} roles=incident-commander\n")
    allowed.chmod(0o600)
    irctl.environment |= {"IRCTL_SIGNING_KEY": str(key), "IRCTL_PRINCIPAL": "ana@example.com"}
    collection.role("restart_it")
    assert irctl("incident", "open", "--title", "It is down", "--severity", "P1").code == 0
    [incident] = incidents.listed(irctl.home)
    (logs / "app").mkdir(parents=True)
    for number in range(40):
        (logs / "app" / f"{number}.log").write_text(f"line {number}\n" * (number + 1))
    case = Case(irctl, incident, key, allowed, logs)
    words = ["evidence", "collect", str(logs), "--incident", incident, "--root", str(folder)]
    assert irctl(*words).code == 0
    assert irctl(*words[:2], str(logs / "app" / "1.log"), *words[3:], "--as", "logs", "--label", "frontend").code == 0
    for _ in range(2):
        assert irctl("remediate", "restart-it", "--host", "both", "--incident", incident).code == 0
    assert irctl("incident", "note", incident, "Größe ist wichtig: <b>&").code == 0
    return case


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case as it is made once; tests that change it work on a copy."""
    return make_case(tmp_path_factory.mktemp("case"))


@pytest.fixture
def case(made: Case, tmp_path: Path) -> Case:
    """A case of this test's own, not packed yet."""
    home = tmp_path / "home"
    shutil.copytree(made.home, home)
    irctl = Irctl(home, made.irctl.inventory, dict(made.irctl.environment))
    return Case(irctl, made.incident, made.key, made.allowed, made.logs)


@pytest.fixture(scope="module")
def sealed(made: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the signed pack, in memory where there is some, to be changed and put right again."""
    home = tmp_path_factory.mktemp("packed") / "home"
    shutil.copytree(made.home, home)
    case = Case(Irctl(home, made.irctl.inventory, dict(made.irctl.environment)), made.incident, made.key, made.allowed, made.logs)
    assert case.pack().code == 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        shutil.copytree(case.folder, Path(place) / "copy")
        yield Path(place) / "copy"


def found(folder: Path) -> list[str]:
    """What checking finds: differences, or that the manifest is none."""
    try:
        report = verify.check(folder)
    except verify.NotSealed as error:
        return [str(error)]
    return [str(one) for one in report.differences + report.later]


# A pack


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


# Anchors


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


# Every byte


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_file_that_is_changed_removed_or_renamed_is_named(sealed: Path) -> None:
    names = sorted(verify.contents(sealed)[0])
    assert len(names) > 50
    for name in names:
        path, content = sealed / name, (sealed / name).read_bytes()
        change_a_byte(path)
        assert any(name in one for one in found(sealed)), name
        path.unlink()
        assert any(name in one for one in found(sealed)), name
        path.with_name(f"{path.name}.x").write_bytes(content)
        assert any(name in one for one in found(sealed)), name
        if name != "manifest.json":
            assert f"added: {name}.x" in found(sealed)
        path.with_name(f"{path.name}.x").rename(path)
    assert found(sealed) == []


def test_a_file_added_in_any_folder_is_named(sealed: Path) -> None:
    for folder in [sealed, *(path for path in sealed.rglob("*") if path.is_dir())]:
        (folder / "more").write_text("")
        assert found(sealed) == [f"added: {(folder / 'more').relative_to(sealed)}"]
        (folder / "more").unlink()
    assert found(sealed) == []


def test_every_line_of_the_journal_that_is_removed_changed_or_swapped_is_named(sealed: Path) -> None:
    path = sealed / "journal.jsonl"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for at, line in enumerate(lines):
        number = at + 1
        path.write_bytes(b"".join([*lines[:at], *lines[number:]]))
        last = number == len(lines)
        gone = "1 line is missing at the end" if last else f"line {number}"
        assert found(sealed) == [f"missing: journal.jsonl: {gone}"]
        path.write_bytes(b"".join([*lines[:at], line.replace(b'"event":"', b'"event":"x'), *lines[number:]]))
        assert found(sealed) == [f"changed: journal.jsonl: line {number}"]
        if not last:
            path.write_bytes(b"".join([*lines[:at], lines[number], line, *lines[number + 1 :]]))
            swapped = [f"reordered: journal.jsonl: line {number + 1} was line {number}"]
            assert found(sealed) == [*swapped, f"reordered: journal.jsonl: line {number} was line {number + 1}"]
    path.write_bytes(content)
    assert found(sealed) == []


def test_every_bit_of_the_signature_counts(sealed: Path) -> None:
    every_bit(sealed, "manifest.json.sig", ["changed: manifest.json.sig"])


def every_bit(folder: Path, name: str, named: list[str]) -> None:
    content = bytearray((folder / name).read_bytes())
    with (folder / name).open("r+b", buffering=0) as file:
        for at in range(len(content)):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([content[at] ^ (1 << bit)]), at)
                about = verify.read_manifest(folder)[0]
                [difference] = map(str, verify.signature_differences(folder, about)[0])
                of_another_purpose = difference.startswith("forbidden: manifest.json.sig")  # the bit was of the namespace's name
                assert [difference] == named or of_another_purpose, (at, bit)
            os.pwrite(file.fileno(), bytes([content[at]]), at)
    assert found(folder) == []


def test_every_byte_of_the_manifest_counts(sealed: Path) -> None:
    """Each is changed in one bit; nearly all are found before a file is looked at."""
    chance = random.Random(4711)
    content = (sealed / "manifest.json").read_bytes()
    with (sealed / "manifest.json").open("r+b", buffering=0) as file:
        for at, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ (1 << chance.randrange(8))]), at)
            assert found(sealed) != [], at
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert found(sealed) == []


def test_a_thousand_random_flips_are_all_found(sealed: Path) -> None:
    chance = random.Random(20261121)
    names = sorted(verify.contents(sealed)[0])
    sizes = [(sealed / name).stat().st_size for name in names]
    for _ in range(FLIPS):
        [name] = chance.choices(names, sizes)
        with (sealed / name).open("r+b", buffering=0) as file:
            at, bit = chance.randrange(sizes[names.index(name)]), chance.randrange(8)
            [byte] = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte ^ (1 << bit)]), at)
            assert any(name in one for one in found(sealed)), (name, at, bit)
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert found(sealed) == []


# Kills and full disks

PACK = """
import sys
from pathlib import Path
from irctl.catalog import config
from irctl.incidents import pack, pack_place
print("ready", flush=True)
sys.stdin.readline()
pack.pack(Path(sys.argv[1]), sys.argv[2], config.load({}, {"IRCTL_SIGNING_KEY": sys.argv[3]}))
"""


def packed(case: Case, kill_after: float | None) -> float:
    """Seal in a process of its own, killed after so many seconds of work; the seconds that it took."""
    words = [sys.executable, "-c", PACK, str(case.home), case.incident, str(case.key)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    begun = time.monotonic()
    process.stdin.write(b"\n")
    process.stdin.flush()
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return time.monotonic() - begun


def test_a_pack_killed_at_any_moment_is_the_one_before_or_the_new_one(case: Case) -> None:
    """Where it was killed while it was put in place, the next look at it finishes that."""
    chance = random.Random(4711)
    case.pack()
    took = packed(case, None)
    kept = set()
    for number in range(40):
        incidents.record(case.home, case.incident, {"event": "note", "text": f"note {number}", "by": "ana"})
        before = verify.read_manifest(case.folder)[1]
        packed(case, chance.uniform(number, number + 1) / 40 * took * 1.5)
        assert case.differences() == []
        kept.add(verify.read_manifest(case.folder)[1] == before)
    assert True in kept
    while kept == {True}:  # a busier machine than at the start
        took *= 2
        incidents.record(case.home, case.incident, {"event": "note", "text": f"after {took}", "by": "ana"})
        before = verify.read_manifest(case.folder)[1]
        packed(case, took)
        kept.add(verify.read_manifest(case.folder)[1] == before)
    assert case.pack().code == 0
    assert case.differences() == []
    assert not list((case.home / "staging").glob("pack-*"))


STEPS = ("rename", "link", "unlink", "mkdir", "rmdir")


@pytest.mark.parametrize("number", range(0, 60, 3))
def test_a_pack_killed_at_each_step_of_being_put_in_place_is_finished_later(case: Case, number: int) -> None:
    """The kill comes just before the numbered change to a folder after the pack was made ready."""
    case.pack()
    incidents.record(case.home, case.incident, {"event": "note", "text": "more", "by": "ana"})
    script = f"""
import os, sys
from irctl.incidents import pack, pack_place
left = [{number}]
def dying(event, arguments):
    if event in {tuple(f"os.{step}" for step in STEPS)!r} and counting:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)
counting = []
sys.addaudithook(dying)
finish = pack_place.finish
def counted(*given):
    counting.append(1)
    finish(*given)
    counting.clear()
pack_place.finish = counted
{PACK.split("sys.stdin.readline()")[1]}
"""
    words = [sys.executable, "-c", f"from pathlib import Path\nfrom irctl.catalog import config\n{script}"]
    done = subprocess.run([*words, str(case.home), case.incident, str(case.key)], capture_output=True)
    assert done.returncode in (0, -9), done.stderr
    assert case.differences() == []
    assert (
        verify.read_manifest(case.folder)[1] == [e["manifest"] for e in journal.read(case.home) if e["event"] == "pack-sealed"][-1]
    )


def test_while_a_pack_is_checked_none_is_made(case: Case) -> None:
    case.pack()
    with pack_place.at_rest(case.home, case.incident):
        done = case.irctl("incident", "pack", case.incident)
        assert done.code == 6
        assert case.verify().code == 0
    with pack_place.locked(case.home, case.incident, 2), pytest.raises(Busy), pack_place.at_rest(case.home, case.incident):
        raise AssertionError("it was let in")


def without_journal(case: Case) -> dict[str, Any]:
    """What lies in the incident's folder, but for the journal, which may have grown."""
    return {name: about for name, about in listing(case.folder).items() if not name.endswith("/journal.jsonl")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of its own")
def test_a_full_disk_leaves_the_old_pack_as_it_was(case: Case, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let its root mount")
    try:
        shutil.copytree(case.home, disk / "home")
        case.irctl.home = disk / "home"
        assert case.pack().code == 0
        before = without_journal(case)
        filler = disk / "filler"
        script = f"from irctl.record import runs\nruns.require_room = lambda home: None\n{PACK}"  # as if it filled up only then
        words = [sys.executable, "-c", script, str(case.home), case.incident, str(case.key)]
        for left in (0, 12 << 10, 24 << 10):
            filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - left))
            done = subprocess.run(words, input=b"\n", capture_output=True)
            filler.unlink()
            assert b"No space left on device" in done.stderr
            assert without_journal(case) == before
            assert case.differences() == []
        filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - (8 << 20)))
        assert not list((case.home / "staging").iterdir())
        refused = case.irctl("incident", "pack", case.incident)
        assert refused.code == 8
        assert "MiB free" in refused.err
        filler.unlink()
        assert case.pack().code == 0
        assert case.differences() == []
    finally:
        subprocess.run(["umount", disk], check=True)


# Timestamps

TSA = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
"""


@dataclass
class Authority:
    """A timestamp authority: openssl behind a small web server."""

    url: str
    ca: Path
    answer: Callable[[bytes], tuple[int, bytes]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsa")
    for name in ("ca", "tsa", "other"):
        ours = ["-addext", "extendedKeyUsage=critical,timeStamping"] if name == "tsa" else []
        by = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"] if name == "tsa" else []
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-subj", f"/CN={name}"]
        subprocess.run(["openssl", "req", "-x509", *kind, *files, *by, *ours], check=True, capture_output=True)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(TSA.format(folder=folder))
    return folder


@pytest.fixture
def authority(certificates: Path, tmp_path: Path) -> Iterator[Authority]:
    def stamp(query: bytes) -> tuple[int, bytes]:
        (tmp_path / "query").write_bytes(query)
        words = ["openssl", "ts", "-reply", "-config", certificates / "tsa.cnf", "-queryfile", tmp_path / "query"]
        return 200, subprocess.run(words, check=True, capture_output=True).stdout

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            code, answer = found.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Authority(f"http://127.0.0.1:{server.server_port}", certificates / "ca.pem", stamp)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def test_a_timestamp_is_got_kept_and_checked(case: Case, authority: Authority, certificates: Path, tmp_path: Path) -> None:
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert (done.code, done.json["timestamp"], done.json["troubles"]) == (0, True, [])
    assert faults("manifest-1", verify.read_manifest(case.folder)[0]) == []
    assert case.verify().json["notes"] == ["its timestamp is not checked: --tsa-ca FILE does that"]
    checked = case.verify("", "--tsa-ca", str(authority.ca))
    assert checked.code == 0
    assert checked.json["notes"][0].startswith("a timestamp proves that it was there at ")
    other = case.verify("", "--tsa-ca", str(certificates / "other.pem"))
    assert other.code == 8
    assert other.json["differences"][0]["name"].startswith("manifest.json.tsr (openssl: ")
    about = verify.read_manifest(case.folder)[0]
    words = ["openssl", "ts", "-verify", "-digest", about["timestamp"]["of"], "-in", "manifest.json.tsr", "-CAfile", authority.ca]
    assert subprocess.run(words, cwd=case.folder, capture_output=True).returncode == 0


def test_every_byte_of_a_timestamp_counts(case: Case, authority: Authority) -> None:
    case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    token = case.folder / "manifest.json.tsr"
    content = token.read_bytes()
    about = verify.read_manifest(case.folder)[0]
    for at in range(len(content)):
        token.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert [str(one) for one in verify.timestamp_differences(case.folder, about)] == ["changed: manifest.json.tsr"]
    token.unlink()
    assert found(case.folder) == ["missing: manifest.json.tsr"]


ANSWERS: dict[str, Callable[[bytes], tuple[int, bytes]]] = {
    "an error": lambda query: (500, b"out of order"),
    "nothing": lambda query: (200, b""),
    "no timestamp": lambda query: (200, b"<html>hello</html>"),
    "the query": lambda query: (200, query),
    "without end": lambda query: (200, b"x" * (1 << 20)),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_authority_that_gives_no_timestamp_is_an_error_and_the_pack_is_sealed(
    case: Case, authority: Authority, answer: str
) -> None:
    authority.answer = ANSWERS[answer]
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert (done.code, done.err) == (8, "")
    [trouble] = done.json["troubles"]
    assert trouble.startswith("there is no timestamp: ")
    assert case.differences() == []
    assert not (case.folder / "manifest.json.tsr").exists()
    assert case.verify("", "--tsa-ca", str(authority.ca)).code == 8


def test_a_timestamp_of_something_else_is_none(case: Case, authority: Authority) -> None:
    stamp = authority.answer
    other = subprocess.run(["openssl", "ts", "-query", "-digest", "0" * 64, "-sha256", "-cert"], capture_output=True, check=True)
    authority.answer = lambda query: stamp(other.stdout)
    done = case.pack("--timestamp", IRCTL_TIMESTAMP_URL=authority.url)
    assert done.code == 8
    assert "did not grant a timestamp of this manifest" in done.json["troubles"][0]


def test_a_timestamp_without_an_authority_is_refused(case: Case) -> None:
    before = listing(case.home)
    done = case.irctl("incident", "pack", case.incident, "--timestamp")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --timestamp: no timestamp_url is set")
    assert listing(case.home) == before
    unreachable = case.pack("--timestamp", IRCTL_TIMESTAMP_URL="http://127.0.0.1:1/")
    assert unreachable.code == 8
    assert case.pack("--timestamp", IRCTL_TIMESTAMP_URL="file:///etc/passwd").code == 2, "every setting is checked when it is read"


# Collecting and holding, as commands


def test_collecting_says_what_it_skipped_and_ends_with_3(case: Case) -> None:
    (case.logs / "link").unlink(missing_ok=True)
    (case.logs / "link").symlink_to("app/1.log")
    words = ["evidence", "collect", str(case.logs), "--incident", case.incident, "--root", str(case.logs.parent)]
    done = case.irctl(*words)
    (case.logs / "link").unlink()
    assert done.code == 3
    assert done.err == f"skipped  {case.logs}/link: not a regular file: a link\n"
    assert f"{case.incident}: 40 files, " in done.out
    assert json.loads(case.irctl(*words, "--json").out)["schema"] == "irctl/collected/1"


BAD = {
    "no root": ["--incident", "ID"],
    "no incident": ["--root", "/"],
    "an incident that is none": ["--root", "/", "--incident", "INC-2020-0101-001"],
    "a size without a unit": ["--root", "/", "--incident", "ID", "--largest", "100"],
    "a label with a slash": ["--root", "/", "--incident", "ID", "--label", "../x"],
    "another kind": ["--root", "/", "--incident", "ID", "--as", "rubbish"],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_to_collecting_is_refused_and_nothing_is_written(case: Case, what: str) -> None:
    before = listing(case.home)
    words = [case.incident if word == "ID" else word for word in BAD[what]]
    done = case.irctl("evidence", "collect", str(case.logs), *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert listing(case.home) == before


def test_a_legal_hold_is_written_down_once_and_shown(case: Case) -> None:
    hold = ["evidence", "hold", case.incident, "Claim 4711"]
    assert case.irctl(*hold, "--json").json == {
        "schema": "irctl/hold/1", "incident": case.incident, "changed": True, "held": "Claim 4711"
    }  # fmt: skip
    assert case.irctl(*hold).out == f"{case.incident} is on legal hold: Claim 4711 (it was before)\n"
    assert "Claim 4711" in case.irctl("incident", "show", case.incident).out
    case.pack()
    assert "  on legal hold: Claim 4711\n" in case.irctl("evidence", "verify", case.incident).out
    release = ["evidence", "release", case.incident, "Settled"]
    assert case.irctl(*release).out == f"{case.incident} is not on legal hold\n"
    assert case.irctl(*release).out == f"{case.incident} is not on legal hold (it was before)\n"
    told = [entry["event"] for entry in journal.read(case.folder)]
    assert told.count("held") == told.count("released") == 1
