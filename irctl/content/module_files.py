"""What modules take of the parameters that are defined: as argument specs and as fragments of documentation; and their actions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from irctl.catalog.content import OURS, Content
from irctl.catalog.definition import Option
from irctl.content.ansible_files import WIDTH, note, spec

LICENSE = "# GNU General Public License v3.0 or later (see LICENSE)\n"
SECRET = ("pass", "secret", "token")  # words in a name that Ansible takes for a secret
PLUGINS = "ansible_collections.{}.plugins"
_ANNOTATIONS = "from __future__ import annotations\n"
_WORKER = re.compile(r"^ARGUMENTS\b", re.MULTILINE)

Named = Mapping[str, Option]  # by the name that a module knows the parameter by


def files(content: Content, name: str, source: Path, by_constant: Mapping[str, Named]) -> Iterator[tuple[Path, str]]:
    """What stands for these parameters in module_utils/arguments and in doc_fragments; nothing where there are none."""
    if by_constant:
        plugins, head = content.root / "plugins", _head(content, source)
        yield plugins / "module_utils" / "arguments" / f"{name}.py", _arguments(head, name, by_constant)
        yield plugins / "doc_fragments" / f"{name}.py", _fragments(head, name, by_constant)


def actions(content: Content) -> Iterator[tuple[Path, str]]:
    """The action of each module that keeps its work in run() and its parameters in ARGUMENTS."""
    for path in sorted((content.root / "plugins" / "modules").glob("[!_]*.py")):
        if _WORKER.search(path.read_text()):
            yield content.root / "plugins" / "action" / path.name, note(content, path) + _action(content, path.stem)


def _action(content: Content, name: str) -> str:
    imports = [f"from {PLUGINS.format(content.name)}.modules import {name}"]
    imports += [f"from {PLUGINS.format(OURS.name)}.plugin_utils.action import in_process"]
    return "\n".join([*imports, "", f"ActionModule = in_process({name})"]) + "\n"


def _arguments(head: str, name: str, by_constant: Mapping[str, Named]) -> str:
    lines = [head, f'"""What a module takes of the parameters of {name}."""\n', _ANNOTATIONS]
    for constant, options in by_constant.items():
        lines.append(f"{constant} = {{")
        lines += [f"    {argument!r}: {_argument(argument, option)!r}," for argument, option in options.items()]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _argument(argument: str, option: Option) -> dict[str, Any]:
    without = {key: value for key, value in spec(option).items() if key != "description"}
    return without | ({"no_log": False} if any(word in argument for word in SECRET) else {})


def _fragments(head: str, name: str, by_constant: Mapping[str, Named]) -> str:
    lines = [head, f'"""The parameters of {name}, as modules document them."""\n', "from __future__ import annotations\n\n"]
    lines += ["class ModuleDocFragment:", '    """Options of modules."""\n']
    for constant, options in by_constant.items():
        documented = {"options": {argument: spec(option) for argument, option in options.items()}}
        text = yaml.safe_dump(documented, sort_keys=False, allow_unicode=True, width=WIDTH)
        lines.append(f'    {"DOCUMENTATION" if constant in ("MAIN", "ARGUMENTS") else constant} = r"""\n{text}"""\n')
    return "\n".join(lines)


def _head(content: Content, source: Path) -> str:
    return (LICENSE if content == OURS else "") + note(content, source).rstrip()
