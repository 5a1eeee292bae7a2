"""Whether the databases, users and applications that a person names are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable

LONGEST = 63  # bytes of a name
NOUNS = {"databases": "database", "users": "role", "applications": "session with the application name"}

# An application has no other trace than its sessions and the settings that give them their name.
KNOWN = """
WITH given AS (SELECT $1::jsonb AS p),
known(kind, name) AS (
  SELECT 'databases', datname::text FROM pg_database
  UNION SELECT 'users', rolname FROM pg_roles
  UNION SELECT 'applications', application_name FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name <> ''
  UNION SELECT 'applications', substr(setting, strpos(setting, '=') + 1) FROM pg_db_role_setting, unnest(setconfig) setting
    WHERE split_part(setting, '=', 1) = 'application_name'),
named(kind, name) AS (SELECT key, jsonb_array_elements_text(value) FROM given, jsonb_each(p)),
unknown AS (SELECT * FROM named EXCEPT SELECT * FROM known)
SELECT json_build_object(
  'unknown', (SELECT coalesce(json_agg(json_build_array(kind, name) ORDER BY kind, name), '[]') FROM unknown),
  'known', (SELECT coalesce(json_object_agg(kind, names), '{}') FROM (SELECT kind, json_agg(name ORDER BY name) AS names
    FROM known WHERE kind IN (SELECT kind FROM unknown) AND name NOT LIKE 'pg\\_%' AND name NOT LIKE 'template_' GROUP BY kind) k))
"""


def asked(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names that module arguments hold, by their kind, without the applications that earlier runs have seen."""
    applications = [name for name in params["application"] if name not in params["remembered"]]
    return {"databases": params["database"], "users": params["user"], "applications": applications}


def unknown(server: Any, params: Mapping[str, Any], *, applications: bool = True) -> list[str]:
    """Ask the server, and return a sentence for each name in the module's arguments that is not there. Raises Failure."""
    return missing(server.ask(KNOWN, asked(params)), applications=applications)


def as_kept(application: str) -> list[str]:
    """The pattern of an application name, and how PostgreSQL keeps such a name: plain ASCII, cut at LONGEST.

    A byte beyond ASCII becomes '?' before version 16, and \\xNN since.
    """
    data = application.encode("utf-8", "surrogateescape")
    forms = ["".join(chr(byte) if byte < 0x80 else form.format(byte) for byte in data) for form in ("?", "\\x{:02x}")]
    return list(dict.fromkeys([application, *map(_cut, forms)]))


def _cut(pattern: str) -> str:
    if len(pattern) <= LONGEST:
        return pattern
    fixed, star, _rest = pattern.partition("*")
    return fixed[:LONGEST] + star


def remember(arguments: Mapping[str, Any], evidence: Iterable[tuple[Any, Any]]) -> list[str]:
    """Which of the applications that are asked for stand in earlier evidence: they were there until a run ended them."""
    return remembered(arguments.get("application") or [], (document for _folder, document in evidence))


def remembered(applications: Iterable[str], evidence: Iterable[Any]) -> list[str]:
    """Which of the applications stand in the sessions that earlier runs have kept; no more is read than that takes."""
    sought, seen = set(applications), set[str]()
    for sessions in evidence if sought else ():
        rows = [row for row in sessions if isinstance(row, dict)] if isinstance(sessions, list) else []
        seen |= sought & {str(row.get("application")) for row in rows}
        if seen == sought:
            break
    return sorted(seen)


def missing(names: Mapping[str, Any], *, applications: bool = True) -> list[str]:
    """A sentence for each name that is not there; applications only where their absence means something."""
    return [
        f"There is no {NOUNS[kind]} {printable(name)!r}. There are: {_similar_first(name, names['known'].get(kind, []))}."
        for kind, name in names["unknown"]
        if applications or kind != "applications"
    ]


def _similar_first(name: str, known: list[str]) -> str:
    """Some of the names, those first that differ in upper and lower case alone."""
    ordered = sorted(known, key=lambda other: other.lower() != name.lower())
    return first_few([printable(other, 63) for other in ordered]) or "none"
