"""OpenSSH's allowed-signers file: each line is read as ssh-keygen reads it, or named with the reason why it is not used."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
from pathlib import Path

import pytest

from irctl.errors import Invalid
from irctl.record import signing
from irctl.record.allowed_signers import fingerprint_of, read_allowed_signers

NAMESPACE = "irctl-approval"


def public(people: Path, who: str) -> str:
    return " ".join((people / f"{who}.pub").read_text().split()[:2])


def openssh_accepts(people: Path, folder: Path, line: bytes, principal: str) -> bool:
    """Whether ssh-keygen takes a signature of ana's as this principal's by this file."""
    (folder / "allowed").write_bytes(line)
    (folder / "words").write_bytes(b"words")
    sign = ["ssh-keygen", "-Y", "sign", "-q", "-f", people / "ana", "-n", NAMESPACE, folder / "words"]
    (folder / "words.sig").unlink(missing_ok=True)
    subprocess.run(sign, check=True, capture_output=True)
    verify = ["ssh-keygen", "-Y", "verify", "-f", folder / "allowed", "-I", principal, "-n", NAMESPACE, "-s", folder / "words.sig"]
    return subprocess.run(verify, input=b"words", capture_output=True).returncode == 0


USED = {
    "plain": "ana@example.com {ana}",
    "a comment": "ana@example.com {ana} roles=security and more",
    "tabs": "ana@example.com\t{ana}\t",
    "blanks before": "   ana@example.com   {ana}",
    "a carriage return": "ana@example.com {ana}\r",
    "in quotes": '"ana@example.com" {ana}',
    "two principals": "ana@example.com,ben@example.com {ana}",
    "an option": 'ana@example.com namespaces="irctl-approval" {ana}',
    "an option in capitals": 'ana@example.com NAMESPACES="irctl-approval,file" {ana}',
    "two options": 'ana@example.com Valid-After="20200101",valid-before="20990101Z" {ana}',
}


@pytest.mark.parametrize("how", USED)
def test_what_openssh_reads_is_read(people: Path, tmp_path: Path, how: str) -> None:
    line = USED[how].format(ana=public(people, "ana")).encode() + b"\n"
    keys, faults = read_allowed_signers(line)
    assert (len(keys), faults) == (1, [])
    assert "ana@example.com" in keys[0].principals
    assert openssh_accepts(people, tmp_path, line, "ana@example.com")


UNUSED = {
    "no key": ("ana@example.com", "a key type and a key are needed"),
    "no key after its type": ("ana@example.com ssh-ed25519", "a principal, a key type and a key are needed"),
    "no principal": ("{ana}", "nor an option that OpenSSH knows"),
    "a key of another type": ("ana@example.com ecdsa-sha2-nistp256 {blob}", "not of the type that it names"),
    "half a key": ("ana@example.com ssh-ed25519 AAAAC3NzaC1", "its key is not one"),
    "a certificate authority": ("ana@example.com cert-authority {ana}", "cert-authority is not taken"),
    "one in capitals": ("ana@example.com Cert-Authority {ana}", "cert-authority is not taken"),
    "one among options": ('ana@example.com namespaces="git",CERT-AUTHORITY {ana}', "cert-authority is not taken"),
    "a certificate": ("ana@example.com {cert}", "a certificate is not taken"),
    "an option that is none": ('ana@example.com nonsense="x" {ana}', "nor an option that OpenSSH knows"),
    "an option without its value": ("ana@example.com namespaces {ana}", "nor an option that OpenSSH knows"),
    "an option twice": ('ana@example.com namespaces="a",namespaces="b" {ana}', "stands in it twice"),
    "a NUL": ("ana@example.com\0 {ana}", "does not show"),
    "a character that does not show": ("ana\u200b@example.com {ana}", "does not show"),
    "a byte that is no UTF-8": ("ana\udcff@example.com {ana}", "not UTF-8"),
}


@pytest.mark.parametrize("how", UNUSED)
def test_a_line_that_is_not_used_is_named_with_the_reason_and_the_others_are_used(people: Path, how: str) -> None:
    line, why = UNUSED[how]
    names = {"ana": public(people, "ana"), "blob": public(people, "ana").split()[1], "cert": public(people, "ana-cert")}
    text = f"# people\n{line.format(**names)}\n\nben@example.com {public(people, 'ben')}\n"
    keys, faults = read_allowed_signers(text.encode("utf-8", "surrogateescape"))
    assert [key.who for key in keys] == ["ben@example.com"]
    assert len(faults) == 1
    assert faults[0].startswith("line 2 is not used: ")
    assert why in faults[0]


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_line_ends_only_where_openssh_ends_it(people: Path, tmp_path: Path, end: str) -> None:
    """Python has more ends of lines: what stands behind one in a comment must not become a person."""
    line = f"# a comment{end}ana@example.com {public(people, 'ana')}\n".encode()
    keys, _ = read_allowed_signers(line)
    assert keys == []
    assert not openssh_accepts(people, tmp_path, line, "ana@example.com")


def test_one_key_has_one_fingerprint_plain_and_inside_a_certificate(people: Path) -> None:
    def blob(name: str) -> bytes:
        return base64.b64decode(public(people, name).split()[1])

    shown = subprocess.run(["ssh-keygen", "-l", "-f", people / "ana.pub"], capture_output=True, text=True).stdout.split()[1]
    assert fingerprint_of(blob("ana")) == fingerprint_of(blob("ana-cert")) == shown
    assert fingerprint_of(blob("ben")) != shown


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_so_has_a_key_of_another_kind_and_one_whose_number_is_written_longer(tmp_path: Path, people: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "key"], check=True)
    subprocess.run(["ssh-keygen", "-q", "-s", people / "ca", "-I", "x", "-n", "x", tmp_path / "key.pub"], check=True)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True).stdout.split()[1]
    blobs = [base64.b64decode((tmp_path / name).read_text().split()[1]) for name in ("key.pub", "key-cert.pub")]
    if kind == "rsa":
        number = blobs[0][15:18]  # the exponent, after its length
        blobs.append(blobs[0][:11] + struct.pack(">I", 5) + b"\0\0" + number + blobs[0][18:])
    assert {fingerprint_of(blob) for blob in blobs} == {shown}


# The file itself


@pytest.fixture
def allowed(people: Path, tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "allowed"
    path.parent.mkdir(mode=0o755)
    path.write_text(f"ana@example.com {public(people, 'ana')}\n")
    path.chmod(0o644)
    return path


def test_a_file_that_only_its_owner_can_change_is_read(allowed: Path) -> None:
    assert [key.who for key in signing.read_allowed(allowed).keys] == ["ana@example.com"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_proves_nothing(allowed: Path, mode: int) -> None:
    allowed.chmod(mode)
    with pytest.raises(Invalid, match="others can write to the file"):
        signing.read_allowed(allowed)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_nor_does_one_in_a_folder_that_others_can_write_to(allowed: Path, mode: int) -> None:
    allowed.parent.chmod(mode)
    with pytest.raises(Invalid, match="others can write to the folder"):
        signing.read_allowed(allowed)


def test_a_folder_in_which_nobody_can_replace_what_is_anothers_is_fine(allowed: Path) -> None:
    allowed.parent.chmod(0o1777)
    assert signing.read_allowed(allowed).keys


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_nor_does_one_that_belongs_to_somebody_else(allowed: Path, what: str) -> None:
    os.chown(allowed if what == "the file" else allowed.parent, 65534, 65534)
    with pytest.raises(Invalid, match="belongs to user 65534"):
        signing.read_allowed(allowed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_nor_does_one_behind_somebody_elses_link(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(allowed)
    os.lchown(tmp_path / "link", 65534, 65534)
    with pytest.raises(Invalid, match=r"the link .* belongs to user 65534"):
        signing.read_allowed(tmp_path / "link")


def test_the_way_through_links_counts_each_of_them(allowed: Path, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    (place / "second").symlink_to(allowed)
    (tmp_path / "first").symlink_to("open/second")
    assert signing.read_allowed(tmp_path / "first").keys
    place.chmod(0o777)
    with pytest.raises(Invalid, match="others can write to the folder"):
        signing.read_allowed(tmp_path / "first")


@pytest.mark.parametrize("what", ["nothing", "a loop", "a pipe", "a folder"])
def test_what_is_no_file_is_said_in_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "allowed"
    if what == "a loop":
        path.symlink_to(path)
    elif what == "a pipe":
        os.mkfifo(path, 0o600)
    elif what == "a folder":
        path.mkdir(mode=0o700)
    with pytest.raises(Invalid, match="allowed_signers: cannot be read") as caught:
        signing.read_allowed(path)
    assert "\n" not in str(caught.value)
