"""The passwords of ansible-vault, as files or programs that print them: named and checked here, read by Ansible alone."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

DEFAULT_LABEL = "default"  # what Ansible calls the password of --vault-password-file
_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}@(?!prompt).+", re.ASCII)


def check_ids(value: str) -> None:
    """Check that each of these, joined by os.pathsep, is LABEL@PATH. Raises ValueError."""
    if not all(_ID.fullmatch(identity) for identity in value.split(os.pathsep)):
        raise ValueError("LABEL@PATH is needed, where PATH is a file with a password or a program that prints it")


def identities(password_file: str, ids: str) -> list[tuple[str, Path]]:
    """The label and the whole path of each password that the two settings name. Pure."""
    named = [(DEFAULT_LABEL, password_file)] if password_file else []
    named += [(label, path) for label, _at, path in (text.partition("@") for text in ids.split(os.pathsep) if text)]
    return [(label, Path(path).expanduser().absolute()) for label, path in named]


def unusable(path: Path) -> str:
    """Why this is no file of a password, and no program that prints one; '' where it is."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", None) or "cannot be read").lower()
    if not stat.S_ISREG(mode):
        return "not a file"
    if os.access(path, os.X_OK):
        return "a program that others may change; chmod go-w" if mode & 0o022 else ""
    if mode & 0o077:
        return f"a password that others may read (mode {stat.S_IMODE(mode):04o}); chmod 600"
    return "" if os.access(path, os.R_OK) else "cannot be read"
