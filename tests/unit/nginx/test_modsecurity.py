"""Whether a rule of ModSecurity blocks what a file lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import modsecurity


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
    found = list(modsecurity.lines(str(tmp_path / "main")))
    said = modsecurity.objection(found, str(tmp_path / "rules" / "list"))
    assert why in said
    assert bool(why) == bool(said)
