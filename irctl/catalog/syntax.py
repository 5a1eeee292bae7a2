"""Whether the files of a content folder can be read at all, so that a slip in one is known before anything runs."""

from __future__ import annotations

import os

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog.content import OURS, Content
from irctl.catalog.snapshot import Snapshot
from irctl.errors import Invalid


def require(content: Content, snapshot: Snapshot) -> None:
    """Raises Invalid with the first file of this content that cannot be read. Ours are held by tests."""
    if content == OURS:
        return
    for full_name, file in snapshot.files.items():
        collection, _, name = full_name.partition("/")
        if collection == content.name and (why := problem(name, file.content)):
            raise Invalid(f"content: {printable(content.root / name)}: {why}; nothing was run")


def problem(name: str, text: bytes) -> str:
    """Why a file of Python or YAML cannot be read, with the line; '' where it can, and for every other file."""
    suffix = os.path.splitext(name)[1]
    try:
        if suffix == ".py":
            compile(text, name, "exec", dont_inherit=True)
        elif suffix in (".yml", ".yaml"):
            for _event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                pass
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, yaml.YAMLError) as error:
        return " ".join(str(error).split())
    return ""
