"""The kinds of values: what a value may be, as one file of a collection's plugins/module_utils/kinds/ says for each kind.

Such a file has METAVAR, what a command's help shows for a value; check(value), which returns the value or raises ValueError with
the why; measure(value) where `minimum` and `maximum` are not plain numbers; and entries(text) where one text of a list, typed or a
line of a file, may name several values or none.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import OURS, Content
from irctl.errors import Invalid

FOLDER = Path("plugins") / "module_utils" / "kinds"


@cache
def load(content: Content, name: str) -> ModuleType:
    """The kind of this name, of the content itself or of ours. Raises Invalid."""
    for collection in (content, OURS):
        path = collection.root / FOLDER / f"{name}.py"
        if paths.exists(path):
            return _imported(collection, name, path)
    raise Invalid(f"content: there is no kind {name}; known are {', '.join(names(content))}")


def names(content: Content) -> list[str]:
    """The kinds that parameters of this content may have."""
    folders = {collection.root / FOLDER for collection in (content, OURS)}
    return sorted({path.stem for folder in folders for path in folder.glob("[!_]*.py")})


def _imported(collection: Content, name: str, path: Path) -> ModuleType:
    full = f"ansible_collections.{collection.name}.plugins.module_utils.kinds.{name}"
    if collection == OURS:
        return importlib.import_module(full)
    from importlib import util

    spec = util.spec_from_file_location(full, path)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise Invalid(f"content: {path} cannot be imported: {error}") from None
    return module
