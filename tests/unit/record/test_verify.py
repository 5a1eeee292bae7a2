"""verify.py: one file that needs nothing of irctl, names each line of a journal, and believes no signature unchecked."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irctl.record import journal, verify
from irctl.record import seal as evidence
from tools import verify_script

INCIDENT = "INC-2026-1121-001"
SOURCE = Path(verify.__file__)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Keys of each kind that ssh-keygen makes without hardware."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"ed25519": [], "ecdsa": ["-b", "256"], "rsa": ["-b", "3072"], "other": []}
    for name, more in kinds.items():
        kind = "ed25519" if name == "other" else name
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-f", folder / name], check=True)
    return {name: folder / name for name in kinds}


def sign(folder: Path, key: Path, namespace: str = "irctl-evidence") -> None:
    (folder / "manifest.json.sig").unlink(missing_ok=True)
    words = ["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace, folder / "manifest.json"]
    subprocess.run(words, check=True)


def key_name(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True).stdout.split()[1]


def seal(folder: Path, **more: Any) -> dict[str, Any]:
    files, empty = verify.contents(folder)
    last = verify.lines_of(folder)[-1]
    about: dict[str, Any] = {"incident": INCIDENT, "previous": None, "signed": None, "timestamp": None, **more}
    about["journal"] = {"seq": last.seq, "head": last.hash}
    content = evidence.finished(evidence.document(about, evidence.hashed(folder, files - verify.APART), empty))
    (folder / "manifest.json").write_bytes(content)
    return about


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A small sealed pack, not signed: a journal of eight lines, and two files."""
    folder = tmp_path / "pack"
    for number in range(1, 9):
        journal.append(folder, {"event": f"e{number}"})
    (folder / "logs").mkdir()
    (folder / "logs" / "frontend.log").write_text("a line\n")
    (folder / "rca.md").write_text("# Root cause\n")
    seal(folder)
    return folder


def found(folder: Path, allowed: Path | None = None) -> list[str]:
    report = verify.check(folder, allowed and verify.read_allowed_signers(allowed.read_bytes())[0])
    return [str(one) for one in report.differences + report.later]


def test_a_pack_is_as_it_was_sealed(pack: Path) -> None:
    assert found(pack) == []


# The journal

Lines = list[bytes]
TAMPERINGS: dict[str, tuple[Callable[[Lines], Lines], list[str]]] = {
    "changed": (lambda s: [*s[:2], s[2].replace(b'"e3"', b'"x3"'), *s[3:]], ["changed: line 3"]),
    "changed first": (lambda s: [s[0].replace(b'"e1"', b'"x1"'), *s[1:]], ["changed: line 1"]),
    "changed last": (lambda s: [*s[:7], s[7].replace(b'"e8"', b'"x8"')], ["changed: line 8"]),
    "two changed": (lambda s: [*s[:2], s[2] + b" ", s[3] + b" ", *s[4:]], ["changed: line 3", "changed: line 4"]),
    "its number changed": (lambda s: [*s[:2], s[2].replace(b'"seq":3', b'"seq":5'), *s[3:]], ["changed: line 3"]),
    "its number gone": (lambda s: [*s[:2], s[2].replace(b'"seq"', b'"sek"'), *s[3:]], ["changed: line 3"]),
    "no JSON any more": (lambda s: [*s[:2], b"hello", *s[3:]], ["changed: line 3"]),
    "emptied": (lambda s: [*s[:2], b"", *s[3:]], ["changed: line 3"]),
    "a blank in it": (lambda s: [*s[:2], s[2].replace(b",", b", ", 1), *s[3:]], ["changed: line 3"]),
    "another line end": (lambda s: [*s[:2], s[2] + b"\r", *s[3:]], ["changed: line 3"]),
    "removed": (lambda s: [*s[:2], *s[3:]], ["missing: line 3"]),
    "first removed": (lambda s: s[1:], ["missing: line 1"]),
    "two removed": (lambda s: [*s[:2], *s[4:]], ["missing: line 3", "missing: line 4"]),
    "last removed": (lambda s: s[:7], ["missing: 1 line is missing at the end"]),
    "three cut off": (lambda s: s[:5], ["missing: 3 lines are missing at the end"]),
    "all cut off": (lambda s: [], ["missing: 8 lines are missing at the end"]),
    "doubled": (lambda s: [*s[:3], s[2], *s[3:]], ["added: line 4"]),
    "put in": (lambda s: [*s[:3], b'{"seq":4,"prev":"x","event":"y"}', *s[3:]], ["added: line 4"]),
    "a blank line put in": (lambda s: [*s[:3], b"", *s[3:]], ["added: line 4"]),
    "put before": (lambda s: [b"{}", *s], ["added: line 1"]),
    "put after, without the chain": (lambda s: [*s, b"{}"], ["added: line 9"]),
    "swapped": (lambda s: [*s[:2], s[3], s[2], *s[4:]], ["reordered: line 4 was line 3", "reordered: line 3 was line 4"]),
    "ends swapped": (lambda s: [s[7], *s[1:7], s[0]], ["reordered: line 8 was line 1", "reordered: line 1 was line 8"]),
    "removed and changed": (lambda s: [s[0], s[2], s[3].replace(b'"e4"', b'"x4"'), *s[4:]], ["changed: line 4", "missing: line 2"]),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
def test_each_line_of_the_journal_that_is_not_as_it_was_is_named(pack: Path, how: str) -> None:
    tamper, named = TAMPERINGS[how]
    path = pack / "journal.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in tamper(path.read_bytes().split(b"\n")[:-1])))
    assert found(pack) == [one.replace(": ", ": journal.jsonl: ", 1) for one in named]


def test_lines_that_came_after_the_seal_are_named_apart(pack: Path) -> None:
    journal.append(pack, {"event": "e9"})
    report = verify.check(pack)
    assert report.differences == []
    assert [str(one) for one in report.later] == ["added: journal.jsonl: line 9 is later than the seal"]


def test_a_last_line_without_its_end_is_named(pack: Path) -> None:
    path = pack / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert found(pack) == ["missing: journal.jsonl: 1 line is missing at the end", "changed: journal.jsonl: line 8 has no end"]
    path.write_bytes(path.read_bytes() + b'\n{"seq":9')
    assert found(pack) == ["changed: journal.jsonl: line 9 has no end"]


@pytest.mark.parametrize("what", ["removed", "a link", "a pipe", "a folder"])
def test_a_journal_that_is_no_file_is_named(pack: Path, what: str) -> None:
    path = pack / "journal.jsonl"
    shutil.move(path, pack.parent / "journal.jsonl")
    if what == "a link":
        path.symlink_to(pack.parent / "journal.jsonl")
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    assert "journal.jsonl" in " ".join(found(pack))


# Signatures


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_signature_is_checked_with_and_without_knowing_the_signer(pack: Path, keys: dict[str, Path], kind: str) -> None:
    seal(pack, signed=key_name(keys[kind]))
    sign(pack, keys[kind])
    report = verify.check(pack)
    assert report.differences == []
    assert report.signer == f"{key_name(keys[kind])} (signer not known here)"
    allowed = pack.parent / "allowed"
    allowed.write_text(f"ana@example.com {' '.join((keys[kind].with_suffix('.pub')).read_text().split()[:2])} roles=security\n")
    report = verify.check(pack, verify.read_allowed_signers(allowed.read_bytes())[0])
    assert report.differences == []
    assert report.signer == f"ana@example.com with {key_name(keys[kind])}"


def test_a_signer_whom_the_file_does_not_name_is_nobody(pack: Path, keys: dict[str, Path]) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    sign(pack, keys["ed25519"])
    allowed = pack.parent / "allowed"
    allowed.write_text(f"ana@example.com {keys['other'].with_suffix('.pub').read_text()}")
    assert found(pack, allowed) == [f"unknown: manifest.json.sig (nobody is named with the key {key_name(keys['ed25519'])})"]
    key = keys["ed25519"].with_suffix(".pub").read_text()
    allowed.write_text(f'ana@example.com namespaces="irctl-approval" {key}')
    why = 'the key of ana@example.com may not sign for irctl-evidence (line 1: namespaces="irctl-approval")'
    assert found(pack, allowed) == [f"forbidden: manifest.json.sig ({why})"]


def test_a_promised_signature_that_is_not_there_is_missing(pack: Path, keys: dict[str, Path]) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    assert found(pack) == ["missing: manifest.json.sig"]


def test_a_signature_that_was_not_promised_is_added(pack: Path, keys: dict[str, Path]) -> None:
    sign(pack, keys["ed25519"])
    assert found(pack) == ["added: manifest.json.sig"]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda armour: b"",
    "no armour": lambda armour: b"hello\n",
    "a line end more": lambda armour: armour + b"\n",
    "a blank in it": lambda armour: armour.replace(b"\n", b" \n", 1),
    "other line ends": lambda armour: armour.replace(b"\n", b"\r\n"),
    "other lines": lambda armour: armour.replace(b"\n", b"", 2).replace(b"SIGNATURE-----", b"SIGNATURE-----\n", 1),
    "something before": lambda armour: b"x\n" + armour,
    "twice": lambda armour: armour * 2,
    "large": lambda armour: armour * 2000,
}


@pytest.mark.parametrize("how", WRONG)
def test_a_signature_that_is_not_byte_for_byte_as_openssh_writes_it_is_changed(pack: Path, keys: dict[str, Path], how: str) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    sign(pack, keys["ed25519"])
    path = pack / "manifest.json.sig"
    path.write_bytes(WRONG[how](path.read_bytes()))
    assert found(pack) == ["changed: manifest.json.sig"]


def test_a_signature_by_another_key_is_changed(pack: Path, keys: dict[str, Path]) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    sign(pack, keys["other"])
    assert found(pack) == ["changed: manifest.json.sig"]


def test_a_signature_for_another_purpose_is_called_so(pack: Path, keys: dict[str, Path]) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    sign(pack, keys["ed25519"], "irctl-approval")
    why = "it was made for the namespace 'irctl-approval', not for irctl-evidence"
    assert found(pack) == [f"forbidden: manifest.json.sig ({why})"]


@pytest.mark.parametrize(
    ("options", "at", "outcome"),
    [
        ('valid-before="20991201"', "2026-11-21", "signed"),
        ('valid-before="20261101Z"', "2026-11-21", "expired"),
        ('valid-after="20261122"', "2026-11-21", "expired"),
        ('VALID-BEFORE="20991122",Namespaces="file,irctl-evidence"', "2026-11-21", "signed"),
        ('valid-before="20200101"', "2019-11-21", "retired"),
    ],
)
def test_a_key_is_judged_at_the_time_of_sealing(pack: Path, keys: dict[str, Path], options: str, at: str, outcome: str) -> None:
    key = keys["ed25519"]
    seal(pack, sealed=f"{at}T02:23:11.123456Z", signed=key_name(key))
    sign(pack, key)
    allowed = f"ana@example.com {options} {key.with_suffix('.pub').read_text()}".encode()
    report = verify.check(pack, verify.read_allowed_signers(allowed)[0])
    assert [one.kind for one in report.differences] == (["expired"] if outcome == "expired" else [])
    assert bool(report.signature.retired) == (outcome == "retired"), report.signature
    assert bool(report.signer) == (outcome != "expired")


def test_where_signers_are_given_an_unsigned_pack_is_a_difference(pack: Path, keys: dict[str, Path]) -> None:
    allowed = pack.parent / "allowed"
    allowed.write_text(f"ana@example.com {keys['ed25519'].with_suffix('.pub').read_text()}")
    assert found(pack, allowed) == ["unsigned: manifest.json.sig (it was sealed without one)"]
    done = standalone(pack, "--allowed-signers", str(allowed))
    assert (done.returncode, done.stdout.splitlines()[0]) == (8, "unsigned manifest.json.sig (it was sealed without one)")


# Numbers that a manifest claims


@pytest.mark.parametrize("seq", [9, 10**9, 10**29])
def test_a_journal_that_claims_to_be_longer_than_any_is_told_at_once(pack: Path, seq: int) -> None:
    about = verify.read_manifest(pack)[0]
    forged = {name: value for name, value in about.items() if name != "digest"} | {"journal": {"seq": seq, "head": "0" * 64}}
    (pack / "manifest.json").write_bytes(evidence.finished(forged))
    before = time.process_time()
    assert found(pack)[-1].startswith("missing: journal.jsonl: ")
    assert time.process_time() - before < 2


@pytest.mark.parametrize("lines", [[5, 10**9], [10**9, 10**9 - 1], [10**12, 1, 10**12]])
def test_lines_that_claim_any_number_take_no_longer(pack: Path, lines: list[int]) -> None:
    content = b"".join(b'{"seq":%d,"prev":"x"}\n' % seq for seq in lines)
    before = time.process_time()
    assert verify.journal_differences(content, 10**12, "0" * 64)[0]
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    "odd", [b'{"a":%s}' % (b"9" * 10_000_000), b'{"files":{"%s":1},"empty":[]}' % (b"a/" * 2_000_000), b"[" * 5_000_000]
)
def test_a_manifest_of_odd_numbers_and_names_is_refused_at_once(pack: Path, odd: bytes) -> None:
    (pack / "manifest.json").write_bytes(odd)
    before = time.process_time()
    with pytest.raises(verify.NotSealed):
        verify.read_manifest(pack)
    assert time.process_time() - before < 5


def test_a_file_that_grows_while_it_is_read_is_changed_and_not_read_for_ever(pack: Path) -> None:
    path = pack / "grows"
    path.write_bytes(bytes(1 << 20))
    sizes = iter(range(10_000))

    def grow(descriptor: int, buffers: list[Any]) -> int:
        return 1 << 20 if next(sizes) < 9_999 else 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "readv", grow)
        assert verify.digests(pack, ["grows"]) == {"grows": None}
    assert next(sizes) < 5


def test_the_file_is_what_its_parts_make_and_no_name_stands_in_two_of_them() -> None:
    assert SOURCE.read_text() == verify_script.joined(), "make docs"
    names = [
        getattr(node, "name", "")
        for part in verify_script.PARTS
        for node in ast.parse((SOURCE.parent / f"{part}.py").read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    assert sorted(names) == sorted({*names})


def test_without_ssh_keygen_a_signature_is_unchecked_and_the_rest_is_told(
    pack: Path, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(pack, signed=key_name(keys["ed25519"]))
    sign(pack, keys["ed25519"])
    (pack / "rca.md").write_text("x")
    monkeypatch.setenv("PATH", str(pack.parent))
    unchecked = "unchecked: manifest.json.sig: ssh-keygen cannot be run: No such file or directory"
    assert found(pack) == ["changed: rca.md", unchecked]


# Timestamps


def test_a_timestamp_is_part_of_what_is_sealed(pack: Path) -> None:
    token = pack / "manifest.json.tsr"
    about = {**verify.read_manifest(pack)[0], "timestamp": None}
    of = verify.stamped_of(about)
    content = b"token of " + bytes.fromhex(of)
    stamp = {**verify.digests(pack, ["rca.md"])["rca.md"], "of": of}  # type: ignore[dict-item]
    token.write_bytes(content)
    stamp |= evidence.hashed(pack, ["manifest.json.tsr"])["manifest.json.tsr"]
    about = {key: value for key, value in about.items() if key != "digest"}
    (pack / "manifest.json").write_bytes(evidence.finished({**about, "timestamp": stamp}))
    assert found(pack) == []
    token.write_bytes(content + b"x")
    assert found(pack) == ["changed: manifest.json.tsr"]
    token.unlink()
    assert found(pack) == ["missing: manifest.json.tsr"]
    (pack / "manifest.json").write_bytes(evidence.finished({**about, "timestamp": {**stamp, "of": "0" * 64}}))
    token.write_bytes(content)
    assert found(pack) == ["changed: manifest.json.tsr"]
    seal(pack)
    assert found(pack) == ["added: manifest.json.tsr"]


# The file as a program


def standalone(folder: Path, *words: str, script: Path = SOURCE) -> subprocess.CompletedProcess[str]:
    """Run it with the system's own Python, where nothing of irctl can be imported."""
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    assert subprocess.run([python, "-I", "-c", "import irctl"], capture_output=True, cwd="/").returncode
    return subprocess.run([python, "-I", script, folder, *words], capture_output=True, text=True, cwd="/")


def test_it_runs_alone(pack: Path) -> None:
    done = standalone(pack)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{INCIDENT} is as it was sealed at " in done.stdout
    assert "2 files and 8 lines of its journal match\n  NOT signed\n  UNANCHORED: " in done.stdout
    (pack / "rca.md").write_text("x")
    done = standalone(pack)
    assert (done.returncode, done.stderr) == (8, "")
    assert done.stdout.startswith("changed  rca.md\n")
    assert done.stdout.endswith(": 1 difference\n")


@pytest.mark.parametrize("what", ["no folder", "no manifest", "a manifest that is none", "a manifest that is a pipe"])
def test_what_is_not_sealed_is_one_line_and_exit_8(pack: Path, what: str) -> None:
    path = pack / "manifest.json"
    path.unlink()
    if what == "no folder":
        pack = pack / "x\n\x1b[2J"
    elif what == "a manifest that is none":
        path.write_text("[" * 100_000)
    elif what == "a manifest that is a pipe":
        os.mkfifo(path)
    done = standalone(pack)
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr[:-1].isprintable()


def test_nothing_that_lies_in_the_folder_is_run(pack: Path) -> None:
    """Python would look for modules beside the script first."""
    shutil.copy(SOURCE, pack / "verify.py")
    for name in ("json", "argparse", "hashlib", "subprocess", "base64", "dataclasses"):
        (pack / f"{name}.py").write_text(f"open({str(pack / 'run')!r}, 'w')")
    seal(pack)
    done = subprocess.run([sys.executable, pack / "verify.py", pack], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (pack / "run").exists()


NAMES = [b"\xff\xfe", "größe".encode(), b"a\nb", "\x9b2J".encode(), b"\x1b[2J", b"-rf", b" "]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "link"])
def test_what_was_added_is_named_whatever_it_is_and_is_called(pack: Path, name: bytes, kind: str) -> None:
    path = Path(os.fsdecode(os.fsencode(pack) + b"/" + name))
    {"file": path.touch, "folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("/")}[kind]()
    done = standalone(pack)
    assert (done.returncode, done.stderr) == (8, "")
    assert done.stdout.startswith("added    ")
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) == 2


def test_folders_deeper_than_a_path_can_be_long_are_named(pack: Path) -> None:
    before = os.getcwd()
    os.chdir(pack)
    try:
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(before)
    assert [one[:9] for one in found(pack)] == ["added: dd"]
    shutil.rmtree(pack)


def test_it_is_written_in_the_python_of_2019_and_imports_the_standard_library_only() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_fields_of_a_signature_must_end_where_it_ends() -> None:
    begin, end = b"-----BEGIN SSH SIGNATURE-----\n", b"\n-----END SSH SIGNATURE-----\n"
    key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)
    field = [key, b"irctl-evidence", b"", b"sha512", b"signature"]
    blob = b"SSHSIG\0\0\0\1" + b"".join(len(one).to_bytes(4, "big") + one for one in field)
    for bad in (blob[:-1], blob + b"x", blob + b"\0\0\0\0", blob.replace(b"sha512", b"sha999"), blob[1:], b"", b"SSHSIG"):
        assert verify.key_of(begin + base64.b64encode(bad) + end) == ""
    text = base64.b64encode(blob)
    wrapped = b"\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    assert verify.key_of(begin + wrapped + end).startswith("SHA256:")
    assert json.loads(verify.canonical({"a": 1})) == {"a": 1}


def test_a_pack_in_one_file_is_checked_as_its_folder_is(pack: Path, tmp_path: Path) -> None:
    folder = pack.rename(tmp_path / INCIDENT)
    path = tmp_path / "pack.tar"
    subprocess.run(["tar", "-C", tmp_path, "-cf", path, INCIDENT], check=True)
    assert standalone(path).stdout == standalone(folder).stdout
    (folder / "rca.md").write_text("x")
    subprocess.run(["tar", "-C", folder, "-cf", path, "."], check=True)
    done = standalone(path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (8, "changed  rca.md")
    path.write_bytes(b"x" * 2000)
    done = standalone(path)
    assert (done.returncode, done.stderr.startswith(f"error: {path} cannot be unpacked: ")) == (8, True)


def test_what_is_required_and_not_proved_is_exit_8_though_nothing_differs(pack: Path) -> None:
    digest = hashlib.sha256((pack / "manifest.json").read_bytes()).hexdigest()
    done = standalone(pack, "--manifest-hash", digest.upper())
    assert (done.returncode, f"  its hash is the one that was noted: {digest}\n" in done.stdout) == (0, True), done
    other = standalone(pack, "--manifest-hash", "0" * 64)
    assert (other.returncode, other.stdout.splitlines()[0]) == (8, f"changed  manifest.json (its hash is {digest})")
    unsigned = standalone(pack, "--manifest-hash", digest, "--require-signer", "ana@example.com")
    first, last = unsigned.stdout.splitlines()
    assert (unsigned.returncode, first.startswith("unproved manifest.json.sig (no key of ana@example.com")) == (8, True)
    assert last.endswith(", but it is NOT proved as required")
    assert standalone(pack, "--require-signer", "ana@example.com").stdout.count("unproved ") == 2
