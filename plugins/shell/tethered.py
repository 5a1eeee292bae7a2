# GNU General Public License v3.0 or later (see LICENSE)
"""sh, whose modules end on the target when the controller is gone."""

from __future__ import annotations

DOCUMENTATION = """
name: tethered
short_description: POSIX shell whose modules end when nobody waits for them any more
description:
  - As P(ansible.builtin.sh#shell), but a module on the target, with all that it started, is ended when the connection that
    it answers to is gone, or when its time is up. sshd leaves it at work, although Ansible has long reported a failure.
  - It gets SIGTERM, and five seconds later SIGKILL, as from C(timeout -k). irctl chooses it for hosts that are not local.
options:
  time_limit:
    description: Seconds that a module may take, where its connection stays open but irctl's own limit could not reach it.
    type: int
    default: 600
    vars:
      - name: irctl_time_limit
extends_documentation_fragment:
  - shell_common
author: irctl contributors (@irctl)
"""

import shlex

from ansible.plugins.shell.sh import ShellModule as Sh

# Runs on the target: argv is the time limit in seconds, then the command. Without events, poll tells only of an end that is gone.
TETHER = """
import os, select, signal, subprocess, sys, threading, time
child = subprocess.Popen(sys.argv[2:], start_new_session=True)
def end():
    connection = select.poll()
    connection.register(1, 0)
    connection.poll(int(sys.argv[1]) * 1000)
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(child.pid, number)
        time.sleep(5)
threading.Thread(target=end, daemon=True).start()
raise SystemExit(child.wait() % 256)
""".strip()


class ShellModule(Sh):
    """sh with a tether for each module."""

    def build_module_command(self, env_string: str, shebang: str | None, cmd: str, arg_path: str | None = None) -> str:
        command = str(super().build_module_command("", shebang, cmd, arg_path))
        python = (shebang or "").removeprefix("#!").strip()
        if "python" in python:
            command = f"{shlex.join([python, '-c', TETHER, str(self.get_option('time_limit'))])} {command}"
        return f"{env_string.strip()} {command}".strip()
