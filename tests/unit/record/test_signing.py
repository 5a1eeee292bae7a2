"""Signatures with real keys: who made one is found, and a file that says whose key is whose is read strictly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from irctl.errors import Invalid, IrctlError
from irctl.record import signing

NAMESPACE = "irctl-approval"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for kind, who in (("ed25519", "ana"), ("ecdsa", "ben")):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", who, "-f", folder / who], check=True)
    return folder


def public(keys: Path, who: str) -> str:
    return " ".join((keys / f"{who}.pub").read_text().split()[:2])


@pytest.fixture
def allowed(keys: Path, tmp_path: Path) -> Path:
    path = tmp_path / "allowed"
    lines = ["# who may", "", f"ana@example.com {public(keys, 'ana')} roles=security,incident-commander"]
    path.write_text("\n".join([*lines, f"ben@example.com {public(keys, 'ben')} the second"]) + "\n")
    path.chmod(0o600)
    return path


def test_a_signature_names_who_made_it(keys: Path, allowed: Path) -> None:
    for who in ("ana", "ben"):
        signature = signing.sign(b"these words", keys / who, NAMESPACE)
        assert signing.signer_of(b"these words", signature, allowed, NAMESPACE) == f"{who}@example.com"


def test_a_signature_is_of_these_words_in_this_namespace_only(keys: Path, allowed: Path) -> None:
    signature = signing.sign(b"these words", keys / "ana", NAMESPACE)
    assert signing.signer_of(b"these wordz", signature, allowed, NAMESPACE) == ""
    assert signing.signer_of(b"these words", signature, allowed, "irctl-evidence") == ""
    assert signing.signer_of(b"these words", signature.replace("A", "B"), allowed, NAMESPACE) == ""
    assert signing.signer_of(b"these words", "", allowed, NAMESPACE) == ""


def test_a_key_that_nobody_is_allowed_is_nobodys(keys: Path, allowed: Path) -> None:
    allowed.write_text(f"ben@example.com {public(keys, 'ben')}\n")
    signature = signing.sign(b"x", keys / "ana", NAMESPACE)
    assert signing.signer_of(b"x", signature, allowed, NAMESPACE) == ""


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ('valid-before="20200101"', False),
        ('valid-after="20990101"', False),
        ('namespaces="file"', False),
        ('valid-before="20990101"', True),
        ('namespaces="irctl-approval,file"', True),
    ],
)
def test_what_openssh_says_of_a_key_holds(keys: Path, allowed: Path, options: str, counts: bool) -> None:
    allowed.write_text(f"ana@example.com {options} {public(keys, 'ana')} roles=security\n")
    signature = signing.sign(b"x", keys / "ana", NAMESPACE)
    assert signing.signer_of(b"x", signature, allowed, NAMESPACE) == ("ana@example.com" if counts else "")


def test_a_key_that_cannot_sign_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(IrctlError, match="signing_key: ssh-keygen cannot sign with it") as caught:
        signing.sign(b"x", tmp_path / "nosuch", NAMESPACE)
    assert "\n" not in str(caught.value)


def test_the_file_says_whose_key_and_which_roles(keys: Path, allowed: Path) -> None:
    ana, ben = signing.signers(allowed)
    assert (ana.principal, ana.key, ana.roles) == ("ana@example.com", public(keys, "ana"), {"security", "incident-commander"})
    assert (ben.principal, ben.roles) == ("ben@example.com", frozenset())
    assert signing.fingerprint(ana.key).startswith("SHA256:")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_refused(allowed: Path, mode: int) -> None:
    allowed.chmod(mode)
    with pytest.raises(Invalid, match="others can write to it"):
        signing.signers(allowed)


LINES = {
    "upper case": ("Ana@example.com {ana}", "one principal in lower case"),
    "a pattern": ("*@example.com {ana}", "one principal in lower case"),
    "two principals": ("ana@example.com,ben@example.com {ana}", "one principal in lower case"),
    "wide letters": ("ａna@example.com {ana}", "one principal in lower case"),
    "no key": ("ana@example.com", "a key type, a key"),
    "no key after its type": ("ana@example.com ssh-ed25519", "a key type, a key"),
    "a role that is none": ("ana@example.com {ana} roles=Security", "not the name of a role"),
    "a certificate authority": ("ana@example.com cert-authority {ana}", "cert-authority is not taken"),
    "a principal twice": ("ana@example.com {ana}\nana@example.com {ben}", "a principal stands in it twice"),
    "a key twice": ("ana@example.com {ana}\nben@example.com {ana}", "a key stands in it twice"),
}


@pytest.mark.parametrize("how", LINES)
def test_a_line_that_is_not_clear_is_refused(keys: Path, allowed: Path, how: str) -> None:
    text, why = LINES[how]
    allowed.write_text(text.format(ana=public(keys, "ana"), ben=public(keys, "ben")) + "\n")
    with pytest.raises(Invalid, match=why):
        signing.signers(allowed)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="allowed_signers: cannot be read"):
        signing.signers(tmp_path / "nosuch")


@pytest.mark.parametrize("variant", ["ANA@example.com", "Ána@example.com", "ａna@example.com", "ana@EXAMPLE.com"])
def test_case_width_and_accents_tell_nobody_apart(variant: str) -> None:
    assert signing.folded(variant) == signing.folded("ana@example.com")
    assert signing.folded(variant) != signing.folded("anna@example.com")
