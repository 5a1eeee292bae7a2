"""A remediation for drills of every outcome: its world is a file that says `well` or `broken`, its moods are files beside it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Done, write_inventory
from tests.integration.conftest import Collection

ENTRY_POINTS = ("verify", "fault", "restore")
MARKED = {"ansible_connection": "local", "irctl_drills": "allowed"}


class Practice:
    """The remediation `bulb`, and the command with it in force; hosts `here` and `there` take faults, `prod` does not."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        self.irctl, self.folder, self.file = collection.irctl, folder, folder / "state"
        self.file.write_text("well\n")
        self.root = collection.root
        hosts = {"here": MARKED, "there": MARKED, "prod": {"ansible_connection": "local"}}
        write_inventory(folder, hosts, both=["here", "there"], mixed=["here", "prod"])
        self.irctl.environment["IRCTL_CONTENT"] = str(self.root)
        collection.role("bulb")
        self._entry_points(self.root / "roles" / "bulb" / "tasks")
        role = {"name": "acme.fixes.bulb", "tasks_from": "{{ irctl_entry_point | default('main') }}", "rolespec_validate": False}
        play = {"name": "Bulb", "hosts": "{{ irctl_target }}", "gather_facts": False}
        task = {"name": "Carry out", "ansible.builtin.import_role": role}
        (self.root / "playbooks" / "bulb.yml").write_text(yaml.safe_dump([{**play, "tasks": [task]}]))
        self.entry_points, self.parameters = list(ENTRY_POINTS), {}
        self.says(drill_every="30d")

    def write(self, name: str, document: Any) -> None:
        (self.root / "roles" / "bulb" / name).write_text(yaml.safe_dump(document, sort_keys=False))

    def says(self, **more: Any) -> None:
        """Put this into the role's metadata."""
        about = {"kind": "remediation", "service": "bulbs", "severity": "low", "impact": "none", "reversible": False}
        about |= {"summary": "A bulb", "parameters": self.parameters}
        about |= {"entry_points": {point: {"summary": "A bulb"} for point in self.entry_points}}
        self.write("meta/remediation.yml", about | {"approvals": ["incident-commander"]} | more)

    def lacks(self, point: str) -> None:
        self.entry_points.remove(point)
        self.says(drill_every="30d")

    def _entry_points(self, tasks: Path) -> None:
        says = f"cat {self.file}"
        allowed = {"that": "irctl_drills | default('') == 'allowed'", "fail_msg": "not marked"}
        guard = {"name": "Guard | Drills are allowed", "ansible.builtin.assert": allowed}
        gather = {"name": "Gather | Now", "ansible.builtin.command": says, "register": "__now", "changed_when": False}
        proof = {"that": "__now.stdout == 'well'", "fail_msg": "It is {{ __now.stdout }}."}
        verify = {"name": "Verify | It is well", "ansible.builtin.assert": proof}
        steps = {
            "verify": [gather, verify],
            "fault": [guard, self._change("fault", "broken")],
            "main": [gather, self._change("main", "well")],
            "restore": [self._change("restore", "well")],
        }
        for name, found in steps.items():
            report = {"name": "Report | Done", "irctl.runbooks.report": self._reported(name), "run_once": True}
            (tasks / f"{name}.yml").write_text(yaml.safe_dump([*found, report], sort_keys=False))

    def has_decoy(self) -> None:
        """From now on a neighbour's bulb burns after each fault, which main puts out where its mood is to hit."""
        look = {"ansible.builtin.command": f"ls {self.folder}", "register": "__now", "changed_when": False}
        lit = {"that": "'neighbour' in __now.stdout", "fail_msg": "The neighbour sits in the dark."}
        report = {"name": "Report | Done", "irctl.runbooks.report": {"before": "__now"}, "run_once": True}
        steps = [{"name": "Gather | All bulbs", **look}, {"name": "Verify | It burns", "ansible.builtin.assert": lit}, report]
        self.write("tasks/decoy.yml", steps)
        self.entry_points.append("decoy")
        self.says(drill_every="30d")

    def _reported(self, name: str) -> dict[str, str]:
        return {"before": "__now"} if name == "verify" else {"change": "__put"}

    def _change(self, name: str, word: str) -> dict[str, Any]:
        """Leave a mark, wait where the mood is slow, fail where it is bad, do nothing where it is idle; else set the state."""
        mood = f"{self.folder}/{name}"
        script = f"[ ! -e {mood}-slow ] || long=30\ntouch {mood}-begun\nsleep ${{long:-0}}\n[ ! -e {mood}-bad ] || exit 3\n"
        script += f"[ -e {mood}-idle ] || [ $(cat {self.file}) = {word} ] || {{ echo {word} > {self.file}; echo done; }}\n"
        script += f"[ {name} != fault ] || touch {self.folder}/neighbour\n[ ! -e {mood}-hits ] || rm {self.folder}/neighbour\n"
        script += f"[ ! -e {mood}-claims ] || echo done\n[ ! -e {mood}-harms ] || echo worse > {self.file}\n"
        found = {"ansible.builtin.shell": script, "register": "__put", "changed_when": "'done' in __put.stdout"}
        return {"name": f"Change | To {word}", **found}

    def mood(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def cheer(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()

    def begun(self, name: str) -> bool:
        return (self.folder / f"{name}-begun").exists()

    @property
    def state(self) -> str:
        return self.file.read_text().strip()

    def drill(self, *words: str, host: str = "here", **environment: str) -> Done:
        return self.irctl("drill", "run", "bulb", "--host", host, "--json", *words, **environment)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return self.irctl.start("drill", "run", "bulb", "--host", "here", "--json", *words)

    def alone(self, *words: str) -> Done:
        """The command as if there were no other remediations than those of this test: the others would act on this machine."""
        mine = (
            "names = catalog.names; catalog.names = lambda known, **more: {name: one for name, one in names(known, **more).items()"
        )
        imports = "from irctl.catalog import catalog; from irctl.cli import app"
        script = f"{imports}; {mine} if one.name == 'acme.fixes'}}; app.main({list(words)})"
        return self.irctl.python(script)

    def incidents(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.irctl("incident", "list", "--json", *words).json["incidents"]
        return found

    def runs(self) -> list[str]:
        return [row["remediation"] for row in self.irctl("runs", "--json").json["runs"]]

    def events(self, incident: str) -> list[dict[str, Any]]:
        journal = self.irctl.home / "incidents" / incident / "journal.jsonl"
        return [json.loads(line) for line in journal.read_text().splitlines()]
