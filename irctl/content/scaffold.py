"""A new remediation to begin with: it works, keeps every rule and can be drilled; its author changes it from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import Content, content_of
from irctl.content import generated
from irctl.errors import invalid

TEMPLATE = Path(__file__).resolve().with_name("template")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
COLLECTION = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_WORDS = re.compile(r"\$(name|role|service|collection|namespace|folder)\b|\$\{role\}")


def new(folder: Path, name: str, collection: str = "") -> tuple[Content, list[Path]]:
    """Write the remediation into a folder, which becomes a collection if it is none; return that, and what was written by it.

    `collection` is the full name of a new collection, such as acme.books. Nothing that is there is overwritten. Raises Invalid.
    """
    if not NAME.fullmatch(name) or name.startswith("diagnose-"):
        raise invalid("NAME", "lower case letters, digits and hyphens are needed, such as clear-cache", name)
    role = name.replace("-", "_")
    if paths.has_name(folder / "roles" / role):
        raise invalid("NAME", "it is there already", folder / "roles" / role)
    full = _collection(folder, collection)
    namespace, _, short = full.partition(".")
    words = {"name": name, "role": role, "service": name, "collection": full, "namespace": namespace, "folder": short}
    written = [*_written(TEMPLATE / "collection", folder, words, skip=True), *_written(TEMPLATE / "remediation", folder, words)]
    _link(folder, namespace, short)
    content = content_of(folder)
    generated.write(generated.stale(content))
    return content, written


def _collection(folder: Path, collection: str) -> str:
    """The full name of the collection that the folder is, or becomes."""
    if paths.has_name(folder / "galaxy.yml"):
        return content_of(folder).name
    if not COLLECTION.fullmatch(collection):
        raise invalid("--collection", f"{folder} is no collection yet; give it a name, such as acme.books", collection)
    return collection


def _written(template: Path, folder: Path, words: dict[str, str], *, skip: bool = False) -> Iterator[Path]:
    """Write the files of a template; with `skip`, those that are not there yet."""
    for source in sorted(template.rglob("*.in")):
        path = folder / str(source.relative_to(template)).removesuffix(".in").replace("ROLE", words["role"])
        if skip and paths.has_name(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(_filled(source.read_text(), words))
        yield path


def _filled(text: str, words: dict[str, str]) -> str:
    return _WORDS.sub(lambda match: words[match[1] or "role"], text)


def _link(folder: Path, namespace: str, name: str) -> None:
    """The folder under the name by which Ansible finds a collection, so that molecule and ansible-playbook find it too."""
    link = folder / "ansible_collections" / namespace / name
    if not paths.has_name(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("..") / "..")
