"""Rules of ModSecurity: whether one of them blocks what a file of addresses lists. Reads rule files; changes nothing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt, Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import named
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

DEEPEST = 8  # files that include files

_FROM_FILE = re.compile(r"@ipMatch(?:FromFile|F)\s+([^\s\"']+)", re.IGNORECASE)
_TAKES_BACK = re.compile(r"SecRule(Remove|Update)\w+", re.IGNORECASE)
_LETS_BY = re.compile(r"[\"',\s](allow|ctl\s*:\s*rule(Engine|Remove)\w*)\b", re.IGNORECASE)


class Rule(NamedTuple):
    """One directive of ModSecurity, its continued lines joined, and where it begins."""

    text: str
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{printable(self.file, 200)}:{self.line}"


def rules(directives: Iterable[Directive]) -> list[Rule]:
    """All that nginx's configuration names, those of files and those in it. Raises Failure."""
    result: list[Rule] = []
    for one in named(directives, "modsecurity_rules_file", "modsecurity_rules"):
        if one.name == "modsecurity_rules":
            result += split(" ".join(one.words[1:]), one.file, one.line)
        elif len(one.words) > 1 and os.path.isabs(one.words[1]):
            result += read(one.words[1])
    return result


def read(path: str, depth: int = 0) -> Iterator[Rule]:
    """Each directive of a rules file and of those that it includes. Raises Failure."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise Failure(f"The rules file {printable(path)} cannot be read: {error.strerror}.") from None
    for rule in split(text, path):
        words = rule.text.split(maxsplit=1)
        if words[0].lower() != "include" or len(words) < 2 or depth == DEEPEST:
            yield rule
            continue
        for included in sorted(glob.glob(os.path.join(os.path.dirname(path), words[1].strip("\"'")))):
            yield from read(included, depth + 1)


def split(text: str, file: str, first: int = 1) -> Iterator[Rule]:
    """Each directive of a text, its continued lines joined, without comments."""
    lines, begun = list[str](), first
    for number, line in enumerate(text.splitlines(), first):
        begun = begun if lines else number
        lines.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            whole = " ".join(lines).strip()
            if whole and not whole.startswith("#"):
                yield Rule(whole, file, begun)
            lines = []


def uses(rule: Rule, path: str) -> bool:
    """Whether a directive reads addresses from the file."""
    real, folder = os.path.realpath(path), os.path.dirname(rule.file)
    return any(os.path.realpath(os.path.join(folder, name)) == real for name in _FROM_FILE.findall(rule.text))


def judge(directives: Iterable[Directive], known: list[Rule], path: str) -> Findings:
    """Whether the rules block what the file lists, and what of them cannot be judged."""
    directives = list(directives)
    switches = list(named(directives, "modsecurity"))
    if {one.words[1] for one in switches if len(one.words) > 1} != {"on"}:
        return Findings(
            ("ModSecurity is not on everywhere: 'modsecurity on' belongs into http, and no 'modsecurity off' anywhere.",)
        )
    if sentence := objection(known, path):
        return Findings((sentence,))
    return Findings(doubts=(*_unseen(directives), *_exceptions(known, path)))


def _unseen(directives: Iterable[Directive]) -> Iterator[Doubt]:
    for one in named(directives, "modsecurity_rules_remote", "modsecurity_rules_file"):
        if one.name == "modsecurity_rules_remote" or not os.path.isabs(one.words[1] if len(one.words) > 1 else ""):
            yield Doubt(one.name, one.place, "these rules are not read here, and may let somebody by")
    for one in named(directives, "return"):
        if re.fullmatch(r"0*2[0-9][0-9]", one.words[1] if len(one.words) > 1 else ""):
            yield Doubt(str(one), one.place, "nginx may answer so before the rules are asked")


def _exceptions(known: list[Rule], path: str) -> Iterator[Doubt]:
    """What may let somebody by before the rule is asked, or takes it back."""
    before = True
    for rule in known:
        before = before and not uses(rule, path)
        if _TAKES_BACK.match(rule.text) or (before and _LETS_BY.search(without_texts(rule.text))):
            yield Doubt(printable(rule.text.split()[0], 40), rule.place, "it may let somebody by whom the list names")


def objection(known: list[Rule], path: str) -> str:
    """Say why the rules do not block what the file lists; '' where they do. Pure, but for links in paths."""
    engine = [rule.text.split()[1].lower() for rule in known if re.match(r"SecRuleEngine\s+\S", rule.text, re.IGNORECASE)]
    if not engine or engine[-1] != "on":
        return f"ModSecurity blocks nothing: SecRuleEngine is {printable(engine[-1] if engine else 'off', 30)}."
    reading = [rule.text for rule in known if uses(rule, path)]
    denying = any("REMOTE_ADDR" in text and _denies(text) for text in reading)
    return "" if denying else "The rule of ModSecurity that reads the list does not deny by REMOTE_ADDR alone."


def without_texts(rule: str) -> str:
    """A rule without its messages, which may hold any word."""
    return re.sub(r":\s*'(?:\\.|[^'\\])*'", ":", rule)


def _denies(rule: str) -> bool:
    """Whether it denies whoever the file lists: not whoever it does not list, and not on a further condition."""
    bare = without_texts(rule)
    words = re.findall(r"[\"',\s](deny|drop|chain)\b", bare)
    return bool(words) and "chain" not in words and not re.search(r"!\s*@ipMatch", bare, re.IGNORECASE)
