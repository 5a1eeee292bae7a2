"""What lists of remediations show of each: its name, theme and one line. Reads only as much of a role as that needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from irctl.catalog import catalog
from irctl.catalog.content import Content
from irctl.errors import Invalid

OTHER = "Other"
THEMES = ("Databases", "Caches and queues", "Hosts and services", "Security and the edge", "Evidence and storage", "Kubernetes")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Summary:
    """One line of a list."""

    name: str
    theme: str
    text: str


def summaries(contents: Iterable[Content], *, diagnoses: bool = False) -> list[Summary]:
    """A summary of each remediation or diagnosis, by name. Raises Invalid where a role's files cannot be read."""
    prefix = catalog.DIAGNOSIS if diagnoses else ""
    return [_summary(name, content, prefix) for name, content in catalog.names(contents, diagnoses=diagnoses).items()]


def _summary(name: str, content: Content, prefix: str) -> Summary:
    path = content.root / "roles" / (prefix + name.replace("-", "_")) / "meta" / "remediation.yml"
    return Summary(name, scalar_at(path, "theme") or OTHER, scalar_at(path, "summary"))


def by_theme(entries: Iterable[Summary]) -> Mapping[str, list[Summary]]:
    """The entries below their themes: ours first and in their order, then those of other content, OTHER last."""
    listed = list(entries)
    own = sorted({entry.theme for entry in listed} - {*THEMES, OTHER})
    groups = {theme: [entry for entry in listed if entry.theme == theme] for theme in (*THEMES, *own, OTHER)}
    return {theme: group for theme, group in groups.items() if group}


def scalar_at(path: Path, *keys: str) -> str:
    """The text below nested keys of a YAML file, read no further than to there; '' where it is not. Raises Invalid."""
    try:
        with path.open("rb") as file:
            events = yaml.parse(file, _Loader)
            is_mapping = any(isinstance(event, yaml.MappingStartEvent) for event in events)
            return _scalar(events, keys) if is_mapping else ""
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"content: {path} cannot be read: {' '.join(str(error).split())}") from None


def _scalar(events: Iterator[Any], keys: tuple[str, ...]) -> str:
    """The text below the keys in the mapping that has just begun."""
    for key in events:
        if isinstance(key, yaml.MappingEndEvent):
            break
        value = next(events)
        if not isinstance(key, yaml.ScalarEvent) or key.value != keys[0]:
            _skip(events, value)
        elif len(keys) > 1:
            return _scalar(events, keys[1:]) if isinstance(value, yaml.MappingStartEvent) else ""
        else:
            return str(value.value) if isinstance(value, yaml.ScalarEvent) else ""
    return ""


def _skip(events: Iterator[Any], first: Any) -> None:
    """Pass over the rest of a value that begins with this event."""
    depth = int(isinstance(first, yaml.CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
