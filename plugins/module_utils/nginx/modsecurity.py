"""Rules of ModSecurity: whether one of them blocks what a file of addresses lists. Reads rule files; changes nothing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

DEEPEST = 8  # files that include files

_FROM_FILE = re.compile(r"@ipMatch(?:FromFile|F)\s+([^\s\"']+)", re.IGNORECASE)


def lines(path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Each directive of a rules file and of those that it includes, with the folder it lies in. Raises Failure."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise Failure(f"The rules file {printable(path)} cannot be read: {error.strerror}.") from None
    for line, folder in directives(text, os.path.dirname(path)):
        words = line.split(maxsplit=1)
        if words[0].lower() != "include" or len(words) < 2 or depth == DEEPEST:
            yield line, folder
            continue
        for included in sorted(glob.glob(os.path.join(folder, words[1].strip("\"'")))):
            yield from lines(included, depth + 1)


def directives(text: str, folder: str) -> Iterator[tuple[str, str]]:
    """Each directive of a text, its continued lines joined, without comments."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip(), folder


def uses(line: str, folder: str, path: str) -> bool:
    """Whether a directive reads addresses from the file."""
    real = os.path.realpath(path)
    return any(os.path.realpath(os.path.join(folder, name)) == real for name in _FROM_FILE.findall(line))


def objection(rules_read: list[tuple[str, str]], path: str) -> str:
    """Say why the rules do not block what the file lists; '' where they do. Pure, but for links in paths."""
    engine = [line.split()[1].lower() for line, _file in rules_read if re.match(r"SecRuleEngine\s+\S", line, re.IGNORECASE)]
    if not engine or engine[-1] != "on":
        return f"ModSecurity blocks nothing: SecRuleEngine is {printable(engine[-1] if engine else 'off', 30)}."
    rules = [line for line, folder in rules_read if uses(line, folder, path)]
    denying = any("REMOTE_ADDR" in line and _denies(line) for line in rules)
    return "" if denying else "The rule of ModSecurity that reads the list does not deny by REMOTE_ADDR alone."


def _denies(rule: str) -> bool:
    """Whether it denies whoever the file lists: not whoever it does not list, and not on a further condition."""
    bare = re.sub(r":\s*'(?:\\.|[^'\\])*'", ":", rule)  # a message may hold any word
    words = re.findall(r"[\"',\s](deny|drop|chain)\b", bare)
    return bool(words) and "chain" not in words and not re.search(r"!\s*@ipMatch", bare, re.IGNORECASE)
