"""Whether a rule of ModSecurity blocks what a file lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import modsecurity, syntax


@pytest.mark.parametrize(
    ("engine", "rule", "why"),
    [
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchFromFile list" \\\n "id:1,deny"', ""),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,phase:1,drop"', ""),
        ("SecRuleEngine DetectionOnly\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny"', "SecRuleEngine is detectiononly"),
        ("", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny"', "SecRuleEngine is off"),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,pass"', "does not deny by REMOTE_ADDR"),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny,msg:\'chain of denials\'"', ""),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "!@ipMatchF list" "id:1,deny"', "does not deny by REMOTE_ADDR"),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny,chain"', "does not deny by REMOTE_ADDR"),
        ("SecRuleEngine On\n", 'SecRule REMOTE_ADDR "@ipMatchF list" "id:1,pass,msg:\'on the deny list\'"', "does not deny by"),
        ("SecRuleEngine On\n", 'SecRule ARGS:ip "@ipMatchF list" "id:1,deny"', "does not deny by REMOTE_ADDR"),
    ],
)
def test_a_rule_of_modsecurity_blocks_only_where_it_denies(tmp_path: Path, engine: str, rule: str, why: str) -> None:
    (tmp_path / "main").write_text(f"# {rule}\n{engine}Include rules/*\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one").write_text(rule)
    found = list(modsecurity.read(str(tmp_path / "main")))
    said = modsecurity.objection(found, str(tmp_path / "rules" / "list"))
    assert why in said
    assert bool(why) == bool(said)


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('SecRule REMOTE_ADDR "@ipMatch 10.0.0.1" "id:2,phase:1,allow"', "/main:2"),
        ('SecRule ARGS "x" "id:2,phase:1,pass,nolog,ctl:ruleEngine=Off"', "/main:2"),
        ("SecRuleRemoveById 1", "/main:2"),
        ('SecRule ARGS "x" "id:2,deny,msg:\'allow nothing\'"', ""),
    ],
)
def test_a_rule_that_may_let_somebody_by_before_the_list_is_doubted(tmp_path: Path, more: str, place: str) -> None:
    (tmp_path / "main").write_text(f'SecRuleEngine On\n{more}\nSecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny"\n')
    http = syntax.parse(f"http {{ modsecurity on; modsecurity_rules_file {tmp_path}/main; server {{ }} }}", "/n")
    found = modsecurity.judge(http, modsecurity.rules(http), str(tmp_path / "list"))
    assert found.gaps == ()
    assert [one.place.removeprefix(str(tmp_path)) for one in found.doubts] == ([place] if place else [])


def test_rules_that_are_not_read_here_are_doubted(tmp_path: Path) -> None:
    (tmp_path / "main").write_text('SecRuleEngine On\nSecRule REMOTE_ADDR "@ipMatchF list" "id:1,deny"\n')
    remote = "modsecurity_rules_remote key https://example.com/rules; modsecurity_rules_file relative.conf;"
    http = syntax.parse(f"http {{ modsecurity on; modsecurity_rules_file {tmp_path}/main; {remote} }}", "/n")
    found = modsecurity.judge(http, modsecurity.rules(http), str(tmp_path / "list"))
    assert [one.what for one in found.doubts] == ["modsecurity_rules_remote", "modsecurity_rules_file"]
