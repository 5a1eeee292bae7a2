"""Words that mean nothing to irctl: one inert line, with something near where there is something near."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Refused = Callable[..., str]
DB = ["remediate", "db-connections", "--host", "prod"]


@pytest.mark.parametrize("verb", ["remediate", "plan", "catalog"])
def test_an_unknown_remediation_is_refused_with_the_nearest_known(refused: Refused, verb: str) -> None:
    said = refused(verb, "db-conections")
    assert said.startswith("there is no remediation 'db-conections'. Did you mean db-connections?")


def test_an_unknown_diagnosis_is_refused_with_the_nearest_known(refused: Refused) -> None:
    assert refused("diagnose", "postgress").startswith("there is no diagnosis 'postgress'. Did you mean postgres?")


def test_a_diagnosis_is_named_as_one_where_a_remediation_is_wanted_and_the_other_way_round(refused: Refused) -> None:
    for verb in ("remediate", "plan", "catalog"):
        assert refused(verb, "postgres") == "there is no remediation 'postgres'; it is a diagnosis: irctl diagnose postgres --help"
    known = refused("diagnose", "db-connections")
    assert known == "there is no diagnosis 'db-connections'; it is a remediation: irctl remediate db-connections --help"


@pytest.mark.parametrize("value", ["", "../x", "x\n", "\x1b[2J", "x" * 5000])
def test_a_name_that_no_remediation_could_have_is_refused(refused: Refused, value: str) -> None:
    assert len(refused("remediate", value)) < 300


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["--hots", "prod"], "--host"),
        (["--dry-run"], "--check"),
        (["--for", "30m"], ""),
        (["-C"], "--check"),
        (["--limit", "prod"], "--host"),
        (["--idle", "10m"], ""),
        (["--extra-vars", "a=b"], ""),
        (["-e", "a=b"], ""),
        (["--no\nsuch"], ""),
        (["--\x1b[2J"], ""),
    ],
)
def test_an_unknown_option_is_refused(refused: Refused, words: list[str], near: str) -> None:
    said = refused(*DB, *words)
    assert "no such option" in said.lower()
    assert f"Did you mean {near}" in said if near else True


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("remidiate", "Did you mean irctl remediate?"),
        ("list", "Did you mean irctl catalog, irctl runs or irctl incident list?"),
        ("hosts", "Did you mean irctl lab status, or: ansible-inventory --graph"),
        ("block-ip", "It is a remediation: irctl remediate block-ip."),
        ("postgres", "It is a diagnosis: irctl diagnose postgres."),
        ("unblock-ip", "To undo what a run changed: irctl revert RUN"),
        ("unblock", "Did you mean irctl revert RUN?"),
        ("db-conections", "Did you mean irctl remediate db-connections?"),
        ("xyzzy", ""),
    ],
)
def test_an_unknown_verb_gets_a_suggestion_and_the_list(refused: Refused, word: str, meant: str) -> None:
    message = refused(word)
    assert message.startswith(f"command: '{word}' is none of irctl. {meant}")
    assert message.endswith("lab, init, doctor, content, help, completion.")


def test_a_dry_run_of_other_tools_is_named_before_a_command_too(refused: Refused) -> None:
    assert "After the name of a remediation it is --check: irctl remediate NAME" in refused("--dry-run")


def test_a_change_that_cannot_be_undone_says_that_it_does_not_end_by_itself(refused: Refused) -> None:
    assert refused(*DB, "--for", "30m") == "--for: no such option. What it changes does not end by itself"


def test_an_unknown_command_of_a_group_gets_the_groups_own(refused: Refused) -> None:
    assert (
        refused("lab", "upp") == "command: 'upp' is none of irctl lab. Did you mean irctl lab up? The commands of irctl lab are "
        "down, fault, status, up."
    )


@pytest.mark.parametrize("verb", ["remediate", "plan", "request", "diagnose"])
def test_an_option_before_the_name_says_that_the_name_comes_first(refused: Refused, verb: str) -> None:
    assert refused(verb, "--host", "lab", "x") == f"--host: no such option. The name comes first: irctl {verb} NAME --host ..."


@pytest.mark.parametrize("words", [["remediat"], ["x\n"], ["\x1b[2J"], ["lab", "upp"], ["evidence", "check"], ["x" * 5000]])
def test_an_unknown_verb_is_refused(refused: Refused, words: list[str]) -> None:
    assert len(refused(*words)) < 400


@pytest.mark.parametrize("word", ["more", "\x1b[2J\n", "x" * 5000])
def test_a_word_too_many_is_refused(refused: Refused, word: str) -> None:
    assert len(refused(*DB, word)) < 400
    assert len(refused("doctor", word)) < 400


def test_an_option_without_its_value_is_refused(refused: Refused) -> None:
    assert "--idle-for" in refused(*DB, "--idle-for")


@pytest.mark.parametrize("words", [["--create-rule", "yes"], ["--create-rule=no"]])
def test_a_flag_with_a_value_is_refused_and_both_flags_are_told(refused: Refused, words: list[str]) -> None:
    said = refused("remediate", "block-ip", "--host", "prod", "--address", "198.51.100.7", *words)
    assert said.startswith("--create-rule: it takes no value; say --create-rule or --no-create-rule (got ")
