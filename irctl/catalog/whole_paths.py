"""Files that content names by their whole path: they lie outside of it, so nobody would have approved what they hold by then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

# What a task reads on the controller, by the last part of its name.
_TASKS = re.compile(
    r"(?:include|import)_\w+|vars_files|template|copy|script|unarchive|assemble|patch|with_(?:file|fileglob|first_found|ini|csvfile)"
)
_OPTIONS = ("src", "file", "dir", "cmd", "_raw_params", "files", "paths")
_ASSIGNED = re.compile(r"(?:^|\s)(?:src|file|dir)=['\"]?(/[^\s'\"{]+)")  # in 'src=/a dest=/b'
_REMOTE = re.compile(r"remote_src=['\"]?(?:yes|true|on|1)", re.IGNORECASE)
_LOOKUP = re.compile(
    r"\b(?:lookup|query|q)\(\s*['\"][\w.]*(?:file|fileglob|template|first_found|unvault|ini|csvfile)['\"]\s*,\s*['\"](/[^'\"]+)"
)


def read_by(name: str, text: str) -> Iterator[str]:
    """The whole paths of files that a file of content reads where irctl runs. A path that is put together is not seen."""
    yield from _LOOKUP.findall(text)
    if re.search(r"(^|/)(playbooks|tasks|handlers)/", name) and name.endswith((".yml", ".yaml")):
        yield from _within(_document(text))


def _within(document: Any) -> Iterator[str]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            if _TASKS.fullmatch(str(key).rpartition(".")[2]):
                yield from _of_task(value)
            yield from _within(value)
    elif isinstance(document, list):
        for one in document:
            yield from _within(one)


def _of_task(value: Any) -> Iterator[str]:
    """The whole paths in what a task is given: its text, a list of files, or its options."""
    if isinstance(value, str):
        yield from _of_text(value)
    elif isinstance(value, list):
        for one in value:
            yield from _of_task(one)
    elif isinstance(value, Mapping) and not value.get("remote_src"):
        for name in _OPTIONS:
            yield from _of_task(value.get(name))


def _of_text(text: str) -> Iterator[str]:
    if text.startswith("/"):  # as in '/a/script.sh --now'
        yield text.split()[0]
    elif not _REMOTE.search(text):
        yield from _ASSIGNED.findall(text)


def _document(text: str) -> Any:
    """What YAML says, whatever tags it has; nothing where it is none, which Ansible says better."""
    import yaml

    try:
        return [*yaml.load_all(text, Loader=_loader())]
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


@cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    def plain(loader: Any, _tag: str, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    Loader.add_multi_constructor("", plain)
    return Loader
