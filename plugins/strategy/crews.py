# GNU General Public License v3.0 or later (see LICENSE)
"""The linear strategy, where one fork answers a task for a few local hosts instead of one.

Ansible forks once for each task on each host, 20 to 25 ms of work for a task that does nothing. Over a hundred databases that
the controller talks to itself, that was more than half of a run.
"""

from __future__ import annotations

DOCUMENTATION = """
name: crews
short_description: Linear, with a few local hosts to a fork
description:
  - As P(ansible.builtin.linear#strategy), and as many at once. Where a play has more hosts than forks, a fork answers for up
    to five hosts of the connection C(local), one after the other. A host that is slow to answer holds up no other one for long.
  - It stands on ansible-core's inner parts, whose versions pyproject.toml limits. irctl chooses it for its own runs; the
    playbooks do not ask for it.
author: irctl contributors (@irctl)
"""

import os
import time
from typing import Any

from ansible import context
from ansible._internal._task import TaskContext
from ansible.errors import AnsibleError
from ansible.executor.process.worker import WorkerProcess
from ansible.plugins.loader import get_plugin_loader_namespace
from ansible.plugins.strategy import linear

CREW = 5
PATIENCE = 1.0  # seconds that a host may take before the rest of its crew goes on without it


class CrewProcess(WorkerProcess):
    """A worker that answers one task for several hosts."""

    def __init__(self, crew: list[dict[str, Any]], **shared: Any) -> None:
        super().__init__(**crew[0], **shared)
        self._crew = crew

    def _run(self) -> None:
        for place, member in enumerate(self._crew, start=1):
            started = time.monotonic()
            self._answer(member)
            if time.monotonic() - started > PATIENCE:
                return self._answer_apart(self._crew[place:])

    def _answer(self, member: dict[str, Any]) -> None:
        host, task = member["host"], member["task"]
        host_vars, groups = host.vars, host.groups
        self._host, self._task_vars, self._play_context = host, member["task_vars"], member["play_context"]
        self._task = task.copy(exclude_parent=True, exclude_tasks=True)  # running a task templates it in place
        self._task._parent = task._parent
        with _context(self._task, member):
            super()._run()
        host.vars, host.groups = host_vars, groups  # cleared by the worker, and the next host may read them

    def _answer_apart(self, crew: list[dict[str, Any]]) -> None:
        started = [self._fork(member) for member in crew]
        ended = [os.waitpid(process, 0)[1] for process in started]
        if any(ended):
            raise AnsibleError("A worker was found in a dead state")

    def _fork(self, member: dict[str, Any]) -> int:
        if process := os.fork():
            return process
        try:
            self._answer(member)
            os._exit(0)
        finally:
            os._exit(1)


def _context(task: Any, member: dict[str, Any]) -> Any:
    """The context of a task on a host, which ansible-core makes in another way since 2.21."""
    if not hasattr(TaskContext, "create"):
        return TaskContext(task)
    return TaskContext.create(task=task, task_vars=member["task_vars"], host_name=member["host"].name)


class StrategyModule(linear.StrategyModule):
    """The linear strategy with crews."""

    def __init__(self, tqm: Any) -> None:
        super().__init__(tqm)
        self._waiting: list[dict[str, Any]] = []

    def _queue_task(self, host: Any, task: Any, task_vars: dict[str, Any], play_context: Any) -> None:
        size = min(CREW, -(-len(self._hosts_cache) // len(self._workers)))
        if size < 2 or task.run_once or task.throttle or task_vars.get("ansible_connection") != "local":
            return super()._queue_task(host, task, task_vars, play_context)
        member = {"host": host, "task": task, "task_vars": task_vars, "play_context": play_context}
        self._queued_task_cache[(host.name, task._uuid)] = member
        self._waiting.append(member)
        self._pending_results += 1
        if len(self._waiting) == size:
            self._start_crew()

    def _wait_on_pending_results(self, iterator: Any) -> Any:
        if self._waiting:
            self._start_crew()
        return super()._wait_on_pending_results(iterator)

    def _start_crew(self) -> None:
        crew, self._waiting = self._waiting, []
        for member in crew:
            self._tqm.send_callback("v2_runner_on_start", member["host"], member["task"])
        place = self._free_place()
        self._workers[place] = CrewProcess(
            crew,
            final_q=self._final_q,
            loader=self._loader,
            variable_manager=self._variable_manager,
            shared_loader_obj=get_plugin_loader_namespace(),
            worker_id=place,
            cliargs=context.CLIARGS,
        )
        self._workers[place].start()

    def _free_place(self) -> int:
        while True:
            for place, worker in enumerate(self._workers):
                if worker is None or not worker.is_alive():
                    if worker:
                        worker.close()
                    return place
            time.sleep(0.0005)
