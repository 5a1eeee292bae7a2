"""The files that act in a run, read once: what is hashed, looked at and approved is what is written down to be executed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import Invalid

OURS = "irctl.runbooks"
_DELEGATES = re.compile(r"\bdelegate_to\b(?!: localhost$)", re.MULTILINE)
_VARS = re.compile(r"\bvars\b(?!['\"]?:)|\bvarnames\b")  # not the key of a task
CONFIG = "ansible.cfg"  # every other name begins with that of a collection


class File(NamedTuple):
    """What a file held when it was read, and whether it is a program."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The files by their collection's name and their place there, such as irctl.runbooks/roles/run/tasks/main.yml."""

    files: Mapping[str, File]

    @property
    def digest(self) -> str:
        """The sha256 of the files' names and contents, in hex."""
        whole = hashlib.sha256()
        for name, file in self.files.items():
            whole.update(f"{name} {hashlib.sha256(file.content).hexdigest()}\n".encode())
        return whole.hexdigest()

    def words(self) -> list[str]:
        """Every word of the playbooks, roles and users' plugins: a variable that these read is one of them."""
        texts = [file.content.decode(errors="replace") for name, file in self.files.items() if _tells_what_to_do(name)]
        words = {word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text)}
        if "varnames" in words:
            words.add("vars")
        unless = {"delegate_to": _DELEGATES, "vars": _VARS}
        return sorted(words - {word for word, used in unless.items() if not any(map(used.search, texts))})

    def write(self, root: Path) -> None:
        """Write the collections below ansible_collections/ into a private folder. Raises OSError."""
        made: set[Path] = set()
        for name, file in self.files.items():
            if name == CONFIG:  # the process of the run has it from its beginning
                continue
            path = root / _place(name)
            if path.parent not in made:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                made.add(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o700 if file.executable else 0o600)
            with open(descriptor, "wb") as copy:
                copy.write(file.content)


def read(path: Path) -> File:
    """Raises Invalid."""
    try:
        with path.open("rb") as file:
            return File(file.read(), bool(os.fstat(file.fileno()).st_mode & 0o100))
    except OSError as error:
        raise Invalid(f"content: {printable(path)} cannot be read: {error.strerror}") from None


def _tells_what_to_do(name: str) -> bool:
    """Ours, and modules, read what they are handed alone; an action or a filter of a user's may ask for any variable."""
    place = name.partition("/")[2]
    if place.startswith("plugins/"):
        return not name.startswith(f"{OURS}/") and not place.startswith("plugins/modules/")
    return place.startswith(("roles/", "playbooks/"))


def _place(name: str) -> str:
    collection, _, rest = name.partition("/")
    return f"ansible_collections/{collection.replace('.', '/', 1)}/{rest}"
