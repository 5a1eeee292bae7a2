"""Whether the files of a content folder can be read at all, so that a slip in one is known before anything runs."""

from __future__ import annotations

from pathlib import Path

import yaml

from irctl.catalog import closure
from irctl.catalog.catalog import Remediation
from irctl.catalog.content import OURS
from irctl.errors import Invalid


def require(remediation: Remediation) -> None:
    """Raises Invalid with the first file that acts in a run of it and cannot be read. Ours are held by tests."""
    if remediation.content != OURS:
        for name, path in closure.files(remediation).items():
            if name.startswith(f"{remediation.content.name}/") and (why := problem(path)):
                raise Invalid(f"content: {path}: {why}; nothing was run")


def problem(path: Path) -> str:
    """Why a file of Python or YAML cannot be read, with the line; '' where it can, and for every other file."""
    try:
        if path.suffix == ".py":
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        elif path.suffix in (".yml", ".yaml"):
            with path.open("rb") as file:
                for _event in yaml.parse(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                    pass
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (OSError, ValueError, yaml.YAMLError) as error:
        return " ".join(str(error).split())
    return ""
