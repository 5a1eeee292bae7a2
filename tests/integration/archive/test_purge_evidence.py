"""purge-evidence: what is listed, what is approved, what then goes, and every way in which nothing goes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import signatures
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.modules import purge_evidence, scratch_evidence
from irctl.incidents import incidents
from tests.conftest import Irctl
from tests.servers.archives import CLOSED, HELD, Archive, contents, incident, inventory, settled, write
from tests.servers.stores import S3, Request


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(6):
        write(tmp_path / "tree" / f"day {number % 2}" / f"app-{number}.log", f"line {number}\n".encode() * (number + 1))
    return tmp_path / "tree"


APPROVED = {
    "needed": ["incident-commander", "security"],
    "request": {"requester": "rob"},
    "approvals": [{"role": "incident-commander", "principal": "ana"}, {"role": "security", "principal": "sam"}],
}


class Purge:
    """The module as its action runs it: list, then carry out the list."""

    def __init__(self, archive: Archive, folder: Path, **given: Any) -> None:
        self.folder, self.given = folder, {**archive.given, "older_than": "90d", **given}

    def step(self, state: str, check: bool = False, **given: Any) -> dict[str, Any]:
        defaults = {name: about.get("default") for name, about in purge_evidence.ARGUMENTS.items()}
        return purge_evidence.run({**defaults, **self.given, **given, "state": state}, check)

    def list(self, **given: Any) -> dict[str, str]:
        """What a dry run keeps, written to a file, and two people's approval; the options that carry it out."""
        content = self.step("captured", True, **given)["evidence"].get("purge-list.txt", "").encode()
        path = self.folder / "purge-list.txt"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"list": str(path), "list_hash": digest, "record": self.record(digest)}

    def record(self, digest: str, **approval: Any) -> str:
        """The part of a run's record that says who approved what."""
        path = self.folder / "run.json"
        plan = {"remediation": "purge-evidence", "hosts": {"archive": {"purge_evidence_list_hash": digest}}}
        path.write_text(json.dumps({"plan": plan, "approval": {**APPROVED, **approval}}))
        return str(path)

    def __call__(self, check: bool = False, **given: Any) -> dict[str, Any]:
        if refusals := self.step("listed", check, **given)["refusals"]:
            raise Failure(" ".join(refusals))
        self.step("captured", check, **given)
        done = self.step("changed", check, **given)
        self.step("proved", check, **given)
        return done


fault_of_signatures = signatures.fault


@pytest.fixture(autouse=True)
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The approvals in a record count as signed; what checks that is looked at below, with the command."""
    monkeypatch.setattr(signatures, "fault", lambda record, allowed_signers: "")


@pytest.fixture
def archive(store: S3, tmp_path: Path, tree: Path) -> Archive:
    found = Archive(store, tmp_path, tree)
    found()
    return found


@pytest.fixture
def purge(archive: Archive, tmp_path: Path) -> Purge:
    return Purge(archive, tmp_path)


def test_what_is_listed_goes_and_the_archive_still_has_it(purge: Purge, archive: Archive, tree: Path) -> None:
    before = contents(tree)
    fresh = write(tree / "fresh.log", b"today", age=5)
    unknown = write(tree / "old but not archived.log", b"old")
    listed = purge.list()
    lines = Path(listed["list"]).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == sorted(f"{tree}/{path}" for path in before)
    assert purge(**listed)["msg"] == f"6 files deleted ({sum(map(len, before.values()))} B)"
    assert contents(tree) == {fresh.name: b"today", unknown.name: b"old"}
    assert archive.held() == before


def test_the_list_is_one_that_sha256sum_can_check(purge: Purge) -> None:
    listed = purge.list()
    assert subprocess.run(["sha256sum", "--check", "--quiet", listed["list"]]).returncode == 0


def test_a_second_run_with_the_same_list_changes_nothing(purge: Purge) -> None:
    listed = purge.list()
    purge(**listed)
    again = purge(**listed)
    assert (again["changed"], again["msg"]) == (False, "gone already")


def test_a_dry_run_lists_and_with_a_list_says_what_would_go_and_nothing_goes(purge: Purge, tree: Path) -> None:
    before = contents(tree)
    assert purge.step("listed", True)["refusals"] == []
    said = purge(check=True)
    listed = purge.list()
    paths = sorted(f"{tree}/{path}" for path in before)
    assert sorted(row["delete"] for row in purge.step("captured", True)["affected"]) == paths
    assert sorted(row["delete"] for row in purge.step("captured", True, **listed)["affected"]) == paths
    assert (
        f"6 files listed; to delete them: --list purge-list.txt of this run's evidence, --list-hash {listed['list_hash']}"
        in said["msg"]
    )
    assert purge(check=True, **listed)["msg"] == "6 files would be deleted"
    assert contents(tree) == before


def test_without_a_list_nothing_is_deleted(purge: Purge, tree: Path) -> None:
    with pytest.raises(Failure, match=r"Nothing is deleted without a list\. Make one with --check"):
        purge()
    with pytest.raises(Failure, match="Nothing is deleted without a list"):
        purge.step("changed")
    assert len(contents(tree)) == 6


def _append(tree: Path) -> None:
    with (tree / "day 0" / "app-2.log").open("ab") as end:
        end.write(b"x")


def _rewrite(tree: Path) -> None:
    path = tree / "day 0" / "app-2.log"
    write(path, b"x" * path.stat().st_size)


def _link(tree: Path) -> None:
    path = tree / "day 0" / "app-2.log"
    path.rename(tree.parent / "elsewhere")
    path.symlink_to(tree.parent / "elsewhere")


def _folder_link(tree: Path) -> None:
    (tree / "day 0").rename(tree.parent / "day 0")
    (tree / "day 0").symlink_to(tree.parent / "day 0")


def _second_name(tree: Path) -> None:
    (tree.parent / "second").hardlink_to(tree / "day 0" / "app-2.log")


@pytest.mark.parametrize("meddle", [_append, _rewrite, _link, _folder_link, _second_name])
def test_if_one_listed_file_is_not_as_listed_nothing_goes(purge: Purge, tree: Path, meddle: Any) -> None:
    listed = purge.list()
    meddle(tree)
    before = sorted(path.name for path in tree.parent.rglob("*.log"))
    with pytest.raises(Failure, match=r"[1-3] files? of the list must not be deleted, so none is: .*app-"):
        purge(**listed)
    with pytest.raises(Failure, match="Nothing was deleted"):
        purge.step("changed", **listed)
    assert sorted(path.name for path in tree.parent.rglob("*.log")) == before


def test_if_the_store_no_longer_holds_one_nothing_goes(purge: Purge, archive: Archive, tree: Path) -> None:
    listed = purge.list()
    key = archive.manifests()[-1]["files"][2]["key"]
    archive.store.client.put_object(Bucket=archive.store.bucket, Key=key, Body=b"other", ChecksumAlgorithm="SHA256")
    with pytest.raises(Failure, match="the archive does not have it as it is listed"):
        purge(**listed)
    assert len(contents(tree)) == 6


def test_the_store_is_asked_for_every_object_again_before_the_first_file_goes(purge: Purge, archive: Archive, tree: Path) -> None:
    listed = purge.list()
    there: list[int] = []

    def watch(request: Request, number: int) -> int | None:
        if request.method == "HEAD" and "/files/" in request.path:
            there.append(len(contents(tree)))
            return 404 if request.key.endswith("app-5.log") else None
        return None

    archive.store.hook = watch
    with pytest.raises(Failure, match=r"Nothing was deleted: .*app-5.log \(the store does not hold it"):
        purge.step("changed", **listed)
    assert there == [6] * 6
    assert len(contents(tree)) == 6


def test_a_list_that_is_not_the_one_that_was_approved_is_refused(purge: Purge, tree: Path) -> None:
    listed = purge.list()
    path = Path(listed["list"])
    path.write_text(path.read_text().replace("app-1", "app-3"))
    with pytest.raises(ValueError, match="list_hash: the list is another"):
        purge(**listed)
    assert len(contents(tree)) == 6


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it names no file"),
        (b"{hash}  /etc/passwd", "its last line has no end"),
        (b"{hash}  etc/passwd\n", "line 1 is not"),
        (b"{hash}  /x/../etc/passwd\n", "line 1 is not"),
        (b"{hash}  /x//y\n", "line 1 is not"),
        (b"{hash}  /a\n{hash}  /a\n", "line 2 is not"),
        (b"{hash}  /a\x1b[2J\n", "line 1 is not"),
        (b"\xff\xfe\n", "not text"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(purge: Purge, tmp_path: Path, content: bytes, why: str) -> None:
    content = content.replace(b"{hash}", b"0" * 64)
    (tmp_path / "l").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        purge(list=str(tmp_path / "l"), list_hash=hashlib.sha256(content).hexdigest())


def test_a_file_that_is_not_evidence_cannot_be_listed(purge: Purge, tmp_path: Path, tree: Path) -> None:
    other = write(tmp_path / "other", b"mine")
    content = f"{hashlib.sha256(b'mine').hexdigest()}  {other}\n".encode()
    (tmp_path / "l").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    given = {"list": str(tmp_path / "l"), "list_hash": digest, "record": purge.record(digest)}
    with pytest.raises(
        Failure, match=r"1 file of the list must not be deleted, so none is: .*/other \(not of what is past retention"
    ):
        purge(**given)
    with pytest.raises(ValueError, match="whole path"):
        purge(**{**given, "list": "l"})
    with pytest.raises(ValueError, match="needed together with its sha256"):
        purge(list=given["list"])
    assert other.exists()


ANA, SAM, ROB = ({"role": "security", "principal": who} for who in ("ana", "sam", "rob"))
COMMANDER = {"role": "incident-commander", "principal": "ana"}
OTHERS = [{"role": "legal", "principal": "ana"}, {"role": "dpo", "principal": "sam"}]


@pytest.mark.parametrize(
    "approvals",
    [[], [COMMANDER], [COMMANDER, ANA], [ANA, SAM], [COMMANDER, ROB], OTHERS],
    ids=["nobody", "one", "one in both roles", "two in one role", "the one who asks", "two in two other roles"],
)
def test_a_record_that_does_not_name_two_people_in_two_roles_stops_it(purge: Purge, tree: Path, approvals: list[Any]) -> None:
    listed = purge.list()
    record = purge.record(listed["list_hash"], approvals=approvals)
    with pytest.raises(
        Failure, match=r"The list is not approved: it names [01] of 2 people|The list is not approved: it names 2 of 2 peo"
    ):
        purge(**{**listed, "record": record})
    with pytest.raises(Failure, match="The list is not approved"):
        purge.step("changed", **{**listed, "record": record})
    assert len(contents(tree)) == 6


def test_a_record_of_another_list_of_a_broken_glass_or_none_at_all_stops_it(purge: Purge, tree: Path, tmp_path: Path) -> None:
    listed = purge.list()
    plan = {"remediation": "purge-evidence", "hosts": {}}
    (tmp_path / "glass").write_text(json.dumps({"plan": plan, "approval": {"needed": [], "break_glass": "no time"}}))
    (tmp_path / "none").write_text("[]")
    cases = {
        purge.record("0" * 64): "what was approved is another list",
        str(tmp_path / "glass"): "it names 0 of 2 people",
        str(tmp_path / "none"): "it is not the record of a run",
        str(tmp_path / "nowhere"): "who approved it cannot be read: record: it cannot be read: no such file",
        "": "who approved it cannot be read: record: its whole path is needed",
    }
    for record, why in cases.items():
        with pytest.raises(Failure, match=f"The list is not approved: {why}"):
            purge(**{**listed, "record": record})
    assert len(contents(tree)) == 6


def test_the_hash_of_a_list_may_be_written_in_upper_case(purge: Purge, tree: Path) -> None:
    listed = purge.list()
    digest = listed["list_hash"].upper()
    assert purge(**{**listed, "list_hash": digest, "record": purge.record(digest)})["changed"]
    assert contents(tree) == {}


def test_what_may_go_and_is_here_fails_the_proof(purge: Purge, archive: Archive, tree: Path) -> None:
    with pytest.raises(Failure, match=r"6 files past retention, archived and not on hold, still here, such as /.*/app-0\.log"):
        purge.step("proved")
    purge(**purge.list())
    write(tree / "not archived.log", b"old")
    assert purge.step("proved")["msg"] == "nothing was deleted"


def test_a_drill_deletes_what_its_fault_made_without_a_list_and_nothing_else(purge: Purge, archive: Archive, tree: Path) -> None:
    before = contents(tree)
    drill = tree / "irctl-drill"

    def scratch(state: str) -> dict[str, Any]:
        return scratch_evidence.run({"state": state, "tree": str(tree), "files": 4, "age": "91d"}, False)

    assert purge.step("proved", drill=True)["msg"] == "nothing was deleted"
    scratch("present")
    mine = write(drill / "mine.log", b"not of the drill", age=5)
    archive(tree=str(drill))
    with pytest.raises(Failure, match="4 files past retention"):
        purge.step("proved", drill=True)
    assert purge(check=True, drill=True)["msg"] == "4 files would be deleted"
    assert purge(drill=True)["msg"].startswith("4 files deleted")
    assert not purge(drill=True)["changed"]
    real = [
        write(drill / name, b"archived, and of no drill") for name in ("app.log", "evidence-0001.log.1", "sub/evidence-0001.log")
    ]
    archive(tree=str(drill))
    assert not purge(drill=True)["changed"]
    assert all(path.exists() for path in real)
    for path in real:
        path.unlink()
    real[-1].parent.rmdir()
    scratch("present")
    assert scratch("absent")["changed"]
    assert not scratch("absent")["changed"]
    assert contents(tree) == {**before, "irctl-drill/mine.log": mine.read_bytes()}
    mine.unlink()
    scratch("absent")
    assert not drill.exists()
    with pytest.raises(ValueError, match="drill: a tree is needed, and no list"):
        purge(drill=True, tree=None)


def test_more_than_the_limit_is_refused(purge: Purge, tree: Path) -> None:
    listed = purge.list()
    with pytest.raises(Failure, match=r"6 files would go and the limit is 3\. Raise --max, or list fewer"):
        purge(limit=3, **listed)
    with pytest.raises(Failure, match=r"Nothing was deleted: more files than the limit\."):
        purge.step("changed", limit=3, **listed)
    assert len(contents(tree)) == 6


def test_a_file_that_is_swapped_while_it_is_hashed_stays_and_so_do_all(
    purge: Purge, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the listed content when it is read, and is another file when that is done."""
    listed = purge.list()
    file, original = tree / "day 1" / "app-5.log", trees.Reading.pieces

    def pieces(self: Any, size: int) -> Iterator[bytes]:
        yield from original(self, size)
        if self.file.path == "day 1/app-5.log" and not (tree / "aside").exists():
            file.rename(tree / "aside")
            write(file, b"another one, not in the archive")

    monkeypatch.setattr(trees.Reading, "pieces", pieces)
    with pytest.raises(Failure, match=r"Nothing was deleted: .*app-5\.log \(changed since it was listed"):
        purge.step("changed", **listed)
    assert len(contents(tree)) == 7
    assert file.read_bytes() == b"another one, not in the archive"


# Incidents


def test_only_incidents_of_the_list_are_held_still(store: S3, tmp_path: Path) -> None:
    """There may be more closed ones than a process may have open."""
    home = tmp_path / "home"
    named, other = incident(home, CLOSED), incident(home, CLOSED)
    archive = settled(store, home)
    archive()
    purge = Purge(archive, tmp_path, older_than="1s")
    whole = Path(purge.list()["list"]).read_text()
    text = "".join(line for line in whole.splitlines(keepends=True) if named in line)
    (tmp_path / "l").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    free: dict[str, bool] = {}

    def look(request: Request, number: int) -> None:
        if request.method == "HEAD" and "/files/" in request.path:
            free.update({name: _free(home / "incidents" / name) for name in (named, other)})

    store.hook = look
    purge.step("changed", list=str(tmp_path / "l"), list_hash=digest, record=purge.record(digest))
    assert free == {named: False, other: True}
    assert len(contents(home / "incidents" / other)) == 4


def _free(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_an_incident_on_hold_is_not_listed_and_one_put_on_hold_later_stops_the_whole_list(store: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    free, held = incident(home, CLOSED), incident(home, CLOSED, HELD)
    archive = settled(store, home)
    archive()
    purge = Purge(archive, tmp_path, older_than="1s")
    assert f"{held}/evidence/0.txt (on legal hold: a court asked for it" in purge.step("listed", True)["msg"]
    listed = purge.list()
    text = Path(listed["list"]).read_text()
    assert free in text
    assert held not in text
    assert "journal.jsonl" not in text, "an incident's own record is never listed"
    incidents.record(home, free, {"by": "ana", **HELD})
    with pytest.raises(Failure, match="on legal hold: a court asked for it"):
        purge(**listed)
    assert len(contents(home / "incidents" / free)) == 4
    incidents.record(home, free, {"by": "ana", "event": "released"})
    with pytest.raises(Failure, match="not of what is past retention"):
        purge(**{**listed, "older_than": "60d"})
    archive()
    assert purge(**listed)["changed"]
    assert set(contents(home / "incidents" / free)) == {"journal.jsonl"}
    assert len(contents(home / "incidents" / held)) == 4


def test_a_hold_waits_until_the_files_are_gone_or_comes_in_time(store: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    name = incident(home, CLOSED)
    archive = settled(store, home)
    archive()
    purge = Purge(archive, tmp_path, older_than="1s")
    listed = purge.list()
    process: list[subprocess.Popen[bytes]] = []
    entry = {"by": "ana", **HELD}
    script = "from pathlib import Path; from irctl.incidents import incidents; "
    script += f"incidents.record(Path({str(home)!r}), {name!r}, {entry!r})"

    def hold(request: Request, number: int) -> None:
        if request.method == "HEAD" and "/files/" in request.path and not process:
            process.append(subprocess.Popen([sys.executable, "-c", script]))
            time.sleep(0.5)

    store.hook = hold
    assert purge.step("changed", **listed)["changed"]
    assert process[0].wait(20) == 0
    assert incidents.state(home, name).held, "it came after them, and does not claim to have kept them"


# The command


ROLES = {"rob@example.com": "", "ana@example.com": "incident-commander", "sam@example.com": "security"}


@pytest.fixture
def office(store: S3, tmp_path: Path, tree: Path) -> Any:
    """The command as one of three people with a key each."""
    for who in ROLES:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / who], check=True)
    lines = [f"{who} {' '.join((tmp_path / f'{who}.pub').read_text().split()[:2])} roles={roles}" for who, roles in ROLES.items()]
    (tmp_path / "allowed").write_text("\n".join(lines) + "\n")
    (tmp_path / "allowed").chmod(0o600)
    hosts = inventory(store, tmp_path, purge_evidence_tree=str(tree))
    irctl = Irctl(tmp_path / "home", hosts, {"IRCTL_ALLOWED_SIGNERS": str(tmp_path / "allowed")})
    return lambda who, *words: irctl(*words, IRCTL_PRINCIPAL=who, IRCTL_SIGNING_KEY=str(tmp_path / who), HOME=str(tmp_path))


def test_two_people_approve_that_very_list_and_only_then_it_is_carried_out(office: Any, tree: Path, tmp_path: Path) -> None:
    rob, ana, sam = ROLES
    assert office(rob, "remediate", "archive-evidence", "--host", "archive", "--tree", str(tree)).code == 0
    checked = office(rob, "remediate", "purge-evidence", "--host", "archive", "--check", "--json")
    assert checked.code == 0, checked.err
    listed = Path(checked.json["folder"]) / "evidence" / "archive" / "purge-list.txt"
    words = ("--host", "archive", "--list", str(listed), "--list-hash", hashlib.sha256(listed.read_bytes()).hexdigest())
    refused = office(rob, "remediate", "purge-evidence", *words)
    assert (refused.code, len(contents(tree))) == (5, 6), refused.err
    plan = office(rob, "request", "purge-evidence", *words, "--json").json["id"]
    approved = office(ana, "approve", plan, "--as", "incident-commander", "--yes")
    assert (approved.code, all(f"{tree}/{path}" in approved.out for path in contents(tree))) == (0, True), approved
    refused = office(rob, "remediate", "purge-evidence", *words)
    assert (refused.code, len(contents(tree))) == (5, 6), refused.err
    assert office(sam, "approve", plan, "--as", "security", "--yes").code == 0
    done = office(rob, "remediate", "purge-evidence", *words, "--json")
    assert (done.code, contents(tree)) == (0, {}), done.out + done.err
    evidence = {path.name for path in (Path(done.json["folder"]) / "evidence" / "archive").iterdir()}
    assert evidence == {"affected.jsonl", "purge-list.txt", "purge-proof.json"}
    record, allowed = Path(done.json["folder"]) / "run.json", tmp_path / "allowed"
    assert fault_of_signatures(str(record), str(allowed)) == ""
    only_one = json.loads(record.read_text())["approval"]["approvals"][:1]
    for why, edited in {
        "it is not a signature of these words": _edited(record, "approval", "approvals", 0, principal=rob),
        "was approved is not the plan": _edited(record, "plan", "hosts", "archive", purge_evidence_list_hash="0" * 64),
        "the approval of security is missing": _edited(record, "approval", approvals=only_one),
    }.items():
        assert why in fault_of_signatures(str(edited), str(allowed))
    allowed.write_text(allowed.read_text().replace(sam, "eve@example.com"))
    assert "'sam@example.com' is nobody whom" in fault_of_signatures(str(record), str(allowed))


def _edited(record: Path, *place: Any, **changes: Any) -> Path:
    """A copy of the record in which one part is another."""
    document = part = json.loads(record.read_text())
    for name in place:
        part = part[name]
    part.update(changes)
    copy = record.parents[3] / f"forged-{time.monotonic_ns()}" / "run.json"
    return write(copy, json.dumps(document).encode())


def test_a_record_that_somebody_wrote_by_hand_deletes_nothing(
    purge: Purge, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "fault", fault_of_signatures)
    listed, here = purge.list(), contents(tree)
    (tmp_path / "allowed").touch(0o600)
    for allowed, why in {
        "": "irctl_allowed_signers, the file by which its signatures are checked, is not set",
        "allowed": "irctl_allowed_signers, the file by which its signatures are checked, is not set",
        str(tmp_path / "allowed"): r"forged: run\.json",
        str(tmp_path / "nowhere"): r"cannot be read: No such file",
    }.items():
        with pytest.raises(Failure, match=f"The list is not approved: .*{why}"):
            purge(**listed, irctl_allowed_signers=allowed)
        with pytest.raises(Failure, match=f"The list is not approved: .*{why}"):
            purge.step("changed", **listed, irctl_allowed_signers=allowed)
    assert contents(tree) == here


def test_a_retention_that_is_gone_in_the_store_stops_the_whole_list(careless: S3, tmp_path: Path, tree: Path) -> None:
    """moto shortens whatever is asked."""
    archive = Archive(careless, tmp_path, tree, retain="90d")
    archive()
    purge = Purge(archive, tmp_path)
    listed = purge.list()
    key = next(name for name in careless.names("irctl/files/") if name.endswith("app-3.log"))
    soon = {"Mode": "GOVERNANCE", "RetainUntilDate": time.time() + 60}
    careless.client.put_object_retention(Bucket=careless.bucket, Key=key, Retention=soon, BypassGovernanceRetention=True)
    here = contents(tree)
    with pytest.raises(Failure, match=r"Nothing was deleted: .*app-3\.log \(the store does not lock it as its manifest says\)"):
        purge.step("changed", **listed)
    assert contents(tree) == here


def test_a_rule_that_deletes_too_early_stops_the_whole_list(careless: S3, tmp_path: Path, tree: Path) -> None:
    archive = Archive(careless, tmp_path, tree, retain="90d")
    archive()
    purge = Purge(archive, tmp_path)
    listed = purge.list()
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "irctl/"}, "Expiration": {"Days": 30}}
    careless.client.put_bucket_lifecycle_configuration(Bucket=careless.bucket, LifecycleConfiguration={"Rules": [rule]})
    here = contents(tree)
    with pytest.raises(
        Failure, match=r"Nothing was deleted: .*\(a lifecycle rule of the bucket \(tidy\) deletes it there too early\)"
    ):
        purge.step("changed", **listed)
    assert contents(tree) == here


def test_a_hold_that_was_lifted_here_and_in_the_store_is_no_objection_for_ever(store: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    name = incident(home, CLOSED, HELD)
    archive = settled(store, home)
    archive()
    for key in store.names():
        store.client.put_object_legal_hold(Bucket=store.bucket, Key=key, LegalHold={"Status": "OFF"})
    incidents.record(home, name, {"by": "ana", "event": "released"})
    purge = Purge(archive, tmp_path, older_than="1s")
    assert purge.step("changed", **purge.list())["msg"].startswith("3 files deleted")


def test_a_manifest_that_the_archive_has_lost_stops_the_whole_list(store: S3, tmp_path: Path, tree: Path) -> None:
    archive = Archive(store, tmp_path, tree, bucket=store.plain)
    archive()
    write(tree / "later.log", b"later")
    archive()
    purge = Purge(archive, tmp_path)
    listed = purge.list()
    [first] = [key for key in store.names("irctl/manifests/", store.plain) if key.endswith("/000001.json")]
    store.client.delete_object(Bucket=store.plain, Key=first)
    assert "The archive has lost manifest 1 of trees/" in " ".join(purge.step("listed", **listed)["refusals"])
    with pytest.raises(Failure, match="Nothing was deleted: The archive has lost manifest 1"):
        purge.step("changed", **listed)
    assert (tree / "later.log").exists()
