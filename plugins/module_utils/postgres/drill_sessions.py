"""The sessions that a drill's fault opened, known again by the comment that ends their statement."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted

GONE_SECONDS = 10.0

_OURS = """WITH given AS (SELECT $1::jsonb AS p), ours AS (SELECT pid, application_name FROM pg_stat_activity, given
  WHERE usename = current_user AND right(query, length(p->>'mark')) = p->>'mark')"""
APPLICATIONS = f"{_OURS} SELECT coalesce(json_agg(application_name), '[]') FROM ours"
ENDED = f"{_OURS} SELECT to_json(count(*) FILTER (WHERE pg_terminate_backend(pid))) FROM ours"


def applications(server: Server, mark: str) -> list[str]:
    """The application name of each of them. Raises Failure."""
    names: list[str] = server.ask(APPLICATIONS, {"mark": mark})
    return names


def end(server: Server, mark: str, check_mode: bool) -> dict[str, Any]:
    """End all of them, whatever state they are in, unless in check mode; what a module returns of that. Raises Failure."""
    number, until = len(applications(server, mark)), time.monotonic() + GONE_SECONDS
    while not check_mode and server.ask(ENDED, {"mark": mark}):
        if time.monotonic() > until:
            raise Failure(f"Some of the drill's sessions did not end in {GONE_SECONDS:.0f} s.")
        time.sleep(0.05)
    would = "would be " if check_mode else ""
    return {"changed": number > 0, "msg": f"{counted(number)} {would}ended" if number else "none of the drill's sessions is there"}
