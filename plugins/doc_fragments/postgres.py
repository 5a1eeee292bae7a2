# GNU General Public License v3.0 or later (see LICENSE)
"""How every module for PostgreSQL is told where its server is; pg_client.ARGUMENTS is what they take."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of a connection."""

    DOCUMENTATION = """
options:
  host:
    description: Name, address or socket directory of the server. Unset means the local socket.
    type: str
  port:
    description: Port of the server.
    type: int
  user:
    description: Role to connect as.
    type: str
  dbname:
    description: Database to connect to.
    type: str
    default: postgres
  passfile:
    description: A libpq password file, mode 0600.
    type: path
  sslmode:
    description: How far TLS is asked for, as libpq names it.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
"""
