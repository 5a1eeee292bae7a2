"""The named peer: plain ansible-playbook with community.postgresql.postgresql_query, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.crowd import Crowd
from benchmarks.measure import Side, command
from irctl.catalog.content import ANSIBLE_CONFIG

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench-peer"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - community.postgresql.postgresql_query:
        login_host: "{{ postgres_host }}"
        login_port: "{{ postgres_port }}"
        login_user: "{{ postgres_user }}"
        login_password: "{{ peer_password }}"
        login_db: postgres
        query: >-
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE state = 'idle' AND application_name = %s AND state_change < now() - interval '5 seconds'
        positional_args: ["{{ peer_application }}"]
"""


def environment() -> Path:
    """The peer's bin folder: of IRCTL_BENCH_PEER, or made once in .cache/bench-peer. Raises CalledProcessError."""
    if given := os.environ.get("IRCTL_BENCH_PEER"):
        return Path(given) / "bin"
    if not (CACHE / "made").exists():
        print(f"making the peer's environment in {CACHE}; this takes a few minutes, once", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", CACHE], check=True)
        subprocess.run([CACHE / "bin" / "pip", "install", "--quiet", "ansible>=12,<14", "psycopg[binary]>=3.2,<4"], check=True)
        (CACHE / "made").touch()
    return CACHE / "bin"


def side(crowd: Crowd, name: str, applications: dict[str, str]) -> Side:
    """The peer on these hosts, each ending the idle sessions of its application; with the same ansible.cfg as irctl."""
    bin_folder = environment()
    playbook = crowd.folder / "peer-playbook.yml"
    playbook.write_text(PLAYBOOK)
    same = {"ansible_python_interpreter": str(bin_folder / "python"), "peer_password": crowd.password("ops")}
    hosts = {host: {**same, "peer_application": application} for host, application in applications.items()}
    words = (bin_folder / "ansible-playbook", "-i", crowd.inventory("peer", hosts), playbook)
    run = command(*words, path=bin_folder, cwd=crowd.folder, ANSIBLE_CONFIG=str(ANSIBLE_CONFIG))
    return Side(name, run, check=lambda: crowd.must_be_gone("peer"))
