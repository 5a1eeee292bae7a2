"""The nginx program of a host, as its commands reach it: its configuration, its folders, and which process it is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration, syntax, workers
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable


class Settings(NamedTuple):
    """What nginx would start with: its directives, the folder that relative names in them begin at, its pid file, its files."""

    directives: tuple[Directive, ...]
    folder: str
    pid_path: str
    printed: str
    paths: tuple[str, ...]


def settings(test: Sequence[str], path: str = "") -> Settings:
    """Read the configuration that the command `test` tests; where it includes the file `path`, LIST stands. Raises Failure."""
    printed = programs.output(["-T" if word == "-t" else word for word in test])
    read = configuration.parse(printed, path)
    directives = (*_given(test), *read.directives)
    pids = [one.words[1] for one in directives if one.name == "pid" and len(one.words) > 1]
    return Settings(directives, read.folder, _pid_path(pids[-1] if pids else "", test), printed, read.paths)


def running(found: Settings) -> workers.Workers:
    """The workers of the nginx that runs by these settings. Raises Failure where none runs."""
    return workers.of(found.pid_path)


def _given(test: Sequence[str]) -> tuple[Directive, ...]:
    """The directives of the command's -g."""
    texts = [after for word, after in pairwise(test) if word == "-g"]
    texts += [word[2:] for word in test if word.startswith("-g") and len(word) > 2]
    return tuple(one for text in texts for one in syntax.parse(_ended(text), "-g"))


def _ended(text: str) -> str:
    return text if text.rstrip().endswith((";", "}")) else f"{text};"


def _pid_path(named: str, test: Sequence[str]) -> str:
    """Where the pid file is. A relative name begins at the prefix, not at the folder of the configuration."""
    if os.path.isabs(named):
        return named
    built = programs.output(["-V" if word == "-t" else word for word in test], errors=True)
    path = named or _option(built, "pid-path")
    if not path:
        raise Failure("Which process nginx is cannot be told: its configuration has no pid line.")
    return os.path.join(_prefix(test) or _option(built, "prefix") or "/", path)


def _prefix(test: Sequence[str]) -> str:
    given = [after for word, after in pairwise(test) if word == "-p"]
    given += [word[2:] for word in test if word.startswith("-p") and len(word) > 2]
    return given[-1] if given else ""


def _option(printed: str, name: str) -> str:
    match = re.search(rf"--{name}=(\S+)", printed)
    return printable(match[1], 1000) if match else ""
