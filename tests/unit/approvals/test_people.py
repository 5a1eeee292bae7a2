"""People and what they sign: names and keys of one person, roles, and why a signature does not count."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from irctl.approvals import people, statements
from irctl.catalog import config
from irctl.errors import IrctlError, Refused
from irctl.record import signing
from irctl.record.journal import canonical

NAMES = ("ana", "ben", "eve")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for who in NAMES:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / who], check=True)
    return folder


def everyone(keys: Path, folder: Path, *lines: str) -> people.People:
    """The people of a file with these lines, in which {ana} stands for her key."""
    named = {who: (keys / f"{who}.pub").read_text().strip() for who in NAMES}
    (folder / "allowed").write_text("".join(f"{line.format(**named)}\n" for line in lines))
    (folder / "allowed").chmod(0o600)
    return people.read(folder / "allowed")


@pytest.mark.parametrize(
    ("comment", "roles"),
    [
        ("", set()),
        ("ana's laptop", set()),
        ("roles=security", {"security"}),
        ("roles=security,incident-commander", {"security", "incident-commander"}),
        ("roles=security, incident-commander", {"security", "incident-commander"}),
        ("roles=security , incident-commander and a word", {"security", "incident-commander"}),
        ("a word roles=security roles=finance", {"security", "finance"}),
        ("roles=", set()),
        ("noroles=security", set()),
    ],
)
def test_the_roles_of_a_line_are_all_that_stand_there(comment: str, roles: set[str]) -> None:
    assert people.roles_in(comment) == roles


def test_one_line_that_is_not_used_leaves_the_others_in_force(keys: Path, tmp_path: Path) -> None:
    found = everyone(
        keys,
        tmp_path,
        "*@example.com {eve}",
        "Eve@example.com {eve}",
        "eve@example.com {eve} roles=Security",
        "ana@example.com cert-authority {eve}",
        'ana@example.com namespaces="git" {eve}',
        "ana@example.com {ana} roles=security",
        "ssh-ops@example.com {ben} roles=security, finance",
    )
    assert {signer.principal for signer in found.signers} == {"ana@example.com", "ssh-ops@example.com"}
    assert found.roles_of("ssh-ops@example.com") == {"security", "finance"}
    assert [sentence.split(":")[0] for sentence in found.unused] == [f"line {n} is not used" for n in (4, 1, 2, 3)]
    with pytest.raises(Refused, match=r"'Eve@example.com' is nobody whom .* names .*lower case"):
        found.lines_of("Eve@example.com")


def test_a_person_may_have_two_keys_and_both_sign(keys: Path, tmp_path: Path) -> None:
    found = everyone(keys, tmp_path, "ana@example.com {ana} roles=security", "ana@example.com {eve}")
    for who, roles in (("ana", {"security"}), ("eve", set())):
        signed = statement(keys / who)
        assert statements.require(found, signed, "ana@example.com").roles == roles


@pytest.mark.parametrize(
    "other",
    ["ana", "ANA@Example.com", "ａna@example.com", "ána@example.com", "ana+x@example.com", "ana@example.com.", "ana.@example.com"],
)
def test_look_alikes_are_one_person(other: str) -> None:
    assert people.alike("ana@example.com", other)


@pytest.mark.parametrize(("one", "other"), [("bob", "b0b"), ("paul", "pau1"), ("tom", "torn"), ("wim", "vvim")])
def test_so_are_names_that_are_read_alike(one: str, other: str) -> None:
    assert people.alike(f"{one}@example.com", f"{other}@example.com")


@pytest.mark.parametrize("other", ["ana@other.org", "ann@example.com", "anna@example.com", "ian@example.com"])
def test_other_names_are_other_people(other: str) -> None:
    assert not people.alike("ana@example.com", other)


def test_two_names_with_one_key_are_one_person(keys: Path, tmp_path: Path) -> None:
    found = everyone(
        keys, tmp_path, "ana@example.com {ana}", "ana@example.com {eve}", "ben@example.com {eve}", "cyd@example.com {ben}"
    )
    assert found.same("ana@example.com", "ben@example.com")
    assert not found.same("ana@example.com", "cyd@example.com")


def statement(key: Path, namespace: str = statements.NAMESPACE, **more: Any) -> dict[str, Any]:
    words = {"schema": "x", **more}
    return {**words, "signature": signing.sign(canonical(words), key, namespace)}


REASONS = {
    "edited": (["ana@example.com {ana}"], {}, "it is not a signature of these words"),
    "of an unknown key": (["ana@example.com {ben}"], {}, "no key in .* made this signature; it is of SHA256:"),
    "of another person": (
        ["ana@example.com {ben}", "eve@example.com {ana}"],
        {},
        "it says that it is of ana@example.com, and eve",
    ),
    "for another purpose": (["ana@example.com {ana}"], {"namespace": "git"}, "was made for the namespace 'git', not for irctl-app"),
    "with a key for another purpose": (
        ['ana@example.com namespaces="git" {ana}'],
        {},
        "may not sign for irctl-approval",
    ),
    "of a key that expired": (['ana@example.com valid-before="20200101" {ana}'], {}, "is not valid now .line 1: valid-before"),
    "of a key that is not valid yet": (['ana@example.com valid-after="20990101" {ana}'], {}, "is not valid now"),
}


@pytest.mark.parametrize("how", REASONS)
def test_why_a_signature_does_not_count_is_told_apart(keys: Path, tmp_path: Path, how: str) -> None:
    lines, more, why = REASONS[how]
    signed = statement(keys / "ana", **more)
    if how == "edited":
        signed["schema"] = "y"
    with pytest.raises(Refused, match=why):
        statements.require(everyone(keys, tmp_path, *lines), signed, "ana@example.com")


def test_a_signature_is_judged_at_the_time_asked_about(keys: Path, tmp_path: Path) -> None:
    found = everyone(keys, tmp_path, 'ana@example.com valid-before="20200101" {ana}')
    signed = statement(keys / "ana")
    assert statements.require(found, signed, "ana@example.com", "2019-11-21T02:23:11.123456Z").principal == "ana@example.com"
    with pytest.raises(Refused, match="is not valid on 20211121022311Z"):
        statements.require(found, signed, "ana@example.com", "2021-11-21T02:23:11.123456Z")


@pytest.mark.parametrize("odd", ["", "x", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"])
def test_what_is_no_signature_is_told_in_one_line(keys: Path, tmp_path: Path, odd: str) -> None:
    found = everyone(keys, tmp_path, "ana@example.com {ana}")
    with pytest.raises(Refused, match="it is no signature as OpenSSH writes one") as caught:
        statements.require(found, {"schema": "x", "signature": odd}, "ana@example.com")
    assert "\n" not in str(caught.value)


def test_a_key_that_cannot_sign_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(IrctlError, match="signing_key: ssh-keygen cannot sign with it") as caught:
        signing.sign(b"x", tmp_path / "nosuch", statements.NAMESPACE)
    assert "\n" not in str(caught.value)


def test_without_the_settings_it_says_which_one_is_missing(tmp_path: Path) -> None:
    settings = config.load({"home": str(tmp_path)}, {"XDG_CONFIG_HOME": str(tmp_path)})
    for ask, name in ((statements.everybody, "allowed_signers"), (statements.principal, "principal")):
        with pytest.raises(IrctlError, match=f"{name}: it is not set"):
            ask(settings)
