"""Every file that can act in a run of a remediation, found by what names what: its playbook, roles, modules and their imports.

Where it cannot be said that a file has no part, it has one: whole roles, all that lies beside the playbook, and every plugin of a
user's own collection that Ansible might load by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import compiled, whole_paths
from irctl.catalog.catalog import Remediation
from irctl.catalog.content import ANSIBLE_CONFIG, OURS, Content
from irctl.catalog.snapshot import CONFIG, File, Snapshot, read
from irctl.errors import Invalid
from irctl.trusted_paths import require_file_not_everybodys, require_folder_not_everybodys

ALWAYS = ("plugins/callback/events.py", "plugins/strategy/crews.py", "plugins/shell/tethered.py")  # of ours, in every run
BY_NAME = ("modules", "action")  # plugins that a task names
NOT_LOADED = (*BY_NAME, "module_utils", "plugin_utils")  # nor these: they are imported
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([\w., \t]+))", re.MULTILINE)
_ABOVE = re.compile(r"(?:\.\./)+[\w./-]+")


def snapshot(remediation: Remediation) -> Snapshot:
    """Read each file once. Raises Invalid."""
    search = _Search(remediation.content, remediation.others)
    for collection in (OURS, remediation.content, *remediation.others):
        search.add(collection, "meta/runtime.yml")
    for name in ALWAYS:
        search.add(OURS, name)
    search.add_playbook(remediation)
    search.add_what_ansible_loads_by_itself()
    return Snapshot(dict(sorted(search.files.items())) | {CONFIG: read(ANSIBLE_CONFIG)})


class _Search:
    """Follows what a file names until nothing new is named."""

    def __init__(self, content: Content, others: tuple[Content, ...]) -> None:
        self._collections = {collection.name: collection for collection in (*others, content, OURS)}
        self._named = {name: _Names(collection) for name, collection in self._collections.items()}
        self._own = content
        self._tried: set[str] = set()
        self._trusted: set[Path] = set()
        self.files: dict[str, File] = {}

    def add(self, collection: Content, name: str) -> None:
        """Add one file, if it is there, and all that it names."""
        key = f"{collection.name}/{name}"
        if key in self._tried:
            return
        self._tried.add(key)
        path = collection.root / name
        if not paths.is_file(path):
            return
        self._require_not_everybodys(path)
        file = self.files[key] = read(path)
        text = file.content.decode(errors="replace")
        if path.suffix == ".py":
            self._add_imports(collection, name, text)
        elif path.suffix in (".yml", ".yaml", ".json", ".j2", ""):
            self._add_named(collection, name, text)

    def _require_not_everybodys(self, path: Path) -> None:
        """Raises Invalid where everybody may write to a file or to what leads there; a folder is looked at once."""
        if path.parent not in self._trusted:
            require_folder_not_everybodys("content", path.parent)
            self._trusted.add(path.parent)
        require_file_not_everybodys("content", path)

    def add_playbook(self, remediation: Remediation) -> None:
        self.add(self._own, f"playbooks/{remediation.role}.yml")
        self._add_folder(self._own, f"roles/{remediation.role}")
        for folder in sorted(_folders(self._own.root / "playbooks")):
            self._add_folder(self._own, f"playbooks/{folder}")
        for name in remediation.about.get("shared", []):
            first = name.partition(".")[0]
            for place in (f"meta/parameters/{first.partition('_')[0]}.yml", f"roles/{first}/meta/remediation.yml"):
                for collection in self._collections.values():
                    self.add(collection, place)
                    self.add(collection, compiled.path_of(Path(place)).as_posix())  # which is read in its stead
        for name in remediation.about.get("plugins", []):  # that no task names, because a record does
            owner, _, last = name.rpartition(".")
            if owner in self._collections:
                self._add_plugin(self._collections[owner], last)
        for option in remediation.options:
            for collection in self._collections.values():
                self.add(collection, f"plugins/module_utils/kinds/{option.kind}.py")

    def add_what_ansible_loads_by_itself(self) -> None:
        """Filters, lookups, vars plugins and the like, with what documents them, of a user's collection; ours has none unnamed."""
        if self._own != OURS:
            for folder in sorted({*_folders(self._own.root / "plugins")} - {*NOT_LOADED}):
                self._add_folder(self._own, f"plugins/{folder}")

    def _add_folder(self, collection: Content, name: str) -> None:
        for path in _below(collection.root / name):
            self.add(collection, path.relative_to(collection.root).as_posix())

    def _add_named(self, collection: Content, name: str, text: str) -> None:
        for word in {*_WORD.findall(text)}:
            owner, _, last = word.rpartition(".")
            if owner in self._collections:
                self._add_plugin(self._collections[owner], last)
            elif not owner:
                self._add_plugin(collection, word)
        for path in whole_paths.read_by(name, text) if collection == self._own != OURS else ():
            why = "which would be read anew when it is carried out; name it from where the file lies"
            raise Invalid(f"content: {printable(collection.root / name)} reads {printable(path)} by its whole path, {why}")
        beside = [*re.findall(r"[\w./-]+\.ya?ml", text), *_ABOVE.findall(text)]
        near = os.path.dirname(name)
        for base, relative in ((base, relative) for relative in beside for base in (near, os.path.dirname(near))):
            path = os.path.normpath(os.path.join(base, relative))
            if not path.startswith(".."):
                self.add(collection, path)
                self._add_folder(collection, path)

    def _add_plugin(self, collection: Content, name: str) -> None:
        named = self._named[collection.name]
        if name in named.plugins:
            for kind in BY_NAME:
                self.add(collection, f"plugins/{kind}/{name}.py")
        if name in named.roles:
            named.roles.remove(name)
            self._add_folder(collection, f"roles/{name}")

    def _add_imports(self, collection: Content, name: str, text: str) -> None:
        for source, names, plain in _IMPORT.findall(text):
            modules = [source, *(f"{source}.{one}" for one in _WORD.findall(names))] if source else _WORD.findall(plain)
            for module in modules:
                self._add_module(_absolute(module, collection, name))

    def _add_module(self, module: str) -> None:
        parts = module.split(".")
        if parts[0] != "ansible_collections" or len(parts) < 4:
            return
        owner = self._collections.get(".".join(parts[1:3]))
        if owner is None:
            return
        for length in range(3, len(parts) + 1):
            place = "/".join(parts[3:length])
            self.add(owner, f"{place}/__init__.py" if place else "__init__.py")
            self.add(owner, f"{place}.py")


class _Names:
    """What a task may name of a collection: its modules and actions, and its roles that were not looked at yet."""

    def __init__(self, collection: Content) -> None:
        folders = [collection.root / "plugins" / kind for kind in BY_NAME]
        self.plugins = {path.stem for folder in folders if paths.is_folder(folder) for path in folder.glob("[!_]*.py")}
        self.roles = {*_folders(collection.root / "roles")}


def _absolute(module: str, collection: Content, name: str) -> str:
    """The full name of a module that a file of the collection imports, which may be named from where the file lies."""
    above = len(module) - len(module.lstrip("."))
    if not above:
        return module
    package = f"ansible_collections.{collection.name}.{name.replace('/', '.').removesuffix('.py')}".split(".")
    return ".".join([*package[:-above], module.lstrip(".")]).rstrip(".")


def _folders(path: Path) -> Iterator[str]:
    if paths.is_folder(path):
        yield from (one.name for one in path.iterdir() if paths.is_folder(one) and one.name != "__pycache__")


def _below(root: Path) -> Iterator[Path]:
    """Every file below a folder, through links to folders too, each folder once."""
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or os.path.basename(folder) == "__pycache__":
            below.clear()
            continue
        seen.add(real)
        below.sort()
        yield from (Path(folder) / name for name in sorted(names) if not (name == "README.md" and Path(folder) == root))
