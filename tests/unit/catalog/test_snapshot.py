"""Which variables a run may read, by the words of what is run."""

from __future__ import annotations

import pytest

from irctl.catalog.snapshot import File, Snapshot


def words(text: str, name: str = "acme.fixes/roles/motd/tasks/main.yml") -> list[str]:
    return Snapshot({name: File(text.encode())}).words()


@pytest.mark.parametrize(
    "text",
    [
        "msg: \"{{ vars['shop_' ~ 'port'] }}\"",
        "msg: \"{{ lookup('vars', 'shop_' ~ 'port') }}\"",
        "msg: \"{{ q('ansible.builtin.vars', *names) }}\"",
        "msg: \"{{ query('varnames', '^shop_') }}\"",
        "loop: '{{ vars | dict2items }}'",
    ],
)
def test_where_names_of_variables_are_put_together_any_may_be_read(text: str) -> None:
    assert "vars" in words(text)


@pytest.mark.parametrize("text", ["vars:\n  port: 1", "'vars': {}", "vars_files: [a.yml]", "include_vars: a.yml"])
def test_variables_of_a_task_are_no_names_that_are_put_together(text: str) -> None:
    assert "vars" not in words(text)


def test_a_task_that_is_delegated_to_this_machine_alone_reaches_no_other_host() -> None:
    assert {"delegate_to", "localhost"} & {*words("delegate_to: localhost\n")} == {"localhost"}
    assert "delegate_to" in words("delegate_to: db2\n")
    assert words("port = 1", "acme.fixes/plugins/modules/x.py") == [], "a module reads what it is handed"
