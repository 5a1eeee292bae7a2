"""The schemas of all that irctl prints and keeps as JSON, for every test that reads such an object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[1] / "irctl" / "record" / "schemas"
LOADED = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources([(one["$id"], Resource.from_contents(one)) for one in LOADED.values()])


def faults(schema: str, document: Any) -> list[str]:
    """What is wrong with a document by irctl/schemas/SCHEMA.json; an empty list where it is valid."""
    validator = Draft202012Validator(LOADED[schema], registry=REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def require_valid(document: dict[str, Any]) -> None:
    """Fail where an object is not what its own schema says, or names none that there is."""
    name = document["schema"].removeprefix("irctl/").replace("/", "-")
    assert faults(name, document) == []
