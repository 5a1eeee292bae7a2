# GNU General Public License v3.0 or later (see LICENSE)
"""ansible-runner's own callback, without an event for the start of each task on each host."""

from __future__ import annotations

DOCUMENTATION = """
name: events
type: stdout
short_description: The events that irctl follows
description:
  - ansible-runner's C(awx_display) without C(runner_on_start), which over many hosts costs as much as the work itself.
    Hosts go from task to task together, so that the start of a task tells the same.
extends_documentation_fragment:
  - default_callback
requirements:
  - ansible-runner, whose process irctl starts and sets this in.
author: irctl contributors (@irctl)
"""

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase

if "AWX_ISOLATED_DATA_DIR" in os.environ:
    from ansible_runner.display_callback.callback import awx_display

    Everything = awx_display.CallbackModule
else:  # the import alone puts a Display in place that only ansible-runner's process can write to: ansible-doc would end in an error

    class Everything(CallbackBase):
        """No events where nobody follows them; Ansible itself can still list and document this plugin."""

        def __init__(self) -> None:
            raise AnsibleError("irctl.runbooks.events writes for ansible-runner, and it did not start this process")


class CallbackModule(Everything):
    """Everything but the start of each task on each host."""

    CALLBACK_NAME = "irctl.runbooks.events"

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._host_start[host.get_name()] = awx_display.current_time()
