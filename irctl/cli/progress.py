"""Live progress on standard error: one line for each phase and host; on a terminal also what is under way and for how long."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, short_list
from irctl.cli import color, render
from irctl.orders.order import Order
from irctl.running.results import Step

FEW = 10  # hosts that get a line each; above it a phase gets one line for all
GOOD = "All assertions passed"  # as Ansible's assert says it
STOPPED = {"unreachable": "unreachable"}  # what is shown of a host that goes no further


class Lines:
    """Turns the steps of a run into lines. `write` prints one, `under_way` shows the phase that is going on now."""

    def __init__(self, order: Order, write: Callable[[str], None], under_way: Callable[[str], None]) -> None:
        self._order, self._write, self._under_way = order, write, under_way
        self._hosts = 0
        self._phase, self._since = "", 0.0  # the one that many hosts are in, and its begin
        self._shown: dict[str, str] = {}  # the phase of each host that was shown last
        self._ended: dict[str, str] = {}  # what became of each host in it: ok, or a word of STOPPED

    def __call__(self, kind: str, value: Any) -> None:
        """Take one notice of a run: ('hosts', names), ('message', text) or ('step', Step); or of a drill: ('drill', Step)."""
        if kind == "hosts":
            self._header(value)
        elif kind == "message":
            self._write(f"warning: {value}")
        elif kind == "drill":
            self._write(_line(value.phase, value.seconds, value.message, value.status))
        elif isinstance(value, Step):
            self._step(value)

    def _header(self, hosts: list[str]) -> None:
        order, self._hosts = self._order, len(hosts)
        count = f"{self._hosts} host{'s' if self._hosts != 1 else ''}"
        parts = [click.style(order.remediation.name, bold=True), f"{short_list(order.names)} ({count})", order.incident]
        parts.append("check: nothing is changed" if order.check else "")
        self._write(" · ".join(part for part in parts if part))

    def _step(self, step: Step) -> None:
        status = step.status if step.status == "ok" else STOPPED.get(step.status, "stopped")
        if not step.ended:
            self._turn_to(step.phase)
        elif self._hosts > FEW:
            self._ended[step.host] = status if self._ended.get(step.host, "ok") == "ok" else self._ended[step.host]
        elif step.phase != "Report" and not self._says_nothing_new(step):  # the result says the reason, once
            self._shown[step.host] = step.phase
            message = step.message if status == "ok" else status
            self._write(_line(step.phase, step.seconds, f"{step.host}: {message}" if message else step.host, step.status))

    def _says_nothing_new(self, step: Step) -> bool:
        """Whether it is one more task of a phase that was shown, which was quick and went as it should."""
        silent = step.status == "ok" and step.message in ("", GOOD) and step.seconds < 1
        return silent and self._shown.get(step.host) == step.phase

    def _turn_to(self, phase: str) -> None:
        self._under_way(phase)
        if phase != self._phase:
            self.finish()
            self._phase, self._since = phase, time.monotonic()

    def finish(self) -> None:
        """Print the line of a phase that many hosts were in."""
        ended, self._ended = self._ended, {}
        if ended and self._phase != "Report":
            by_status = {status: [host for host in ended if ended[host] == status] for status in sorted({*ended.values()})}
            going_on = len(by_status.pop("ok", []))
            parts = [counted(going_on, "host")] if going_on else []
            parts += [f"{status}: {short_list(hosts)}" for status, hosts in by_status.items()]
            status = "failed" if by_status else "ok"
            self._write(_line(self._phase, time.monotonic() - self._since, " · ".join(parts), status))


def _line(phase: str, seconds: float, message: str, status: str) -> str:
    message = "ok" if message == GOOD else message.replace(f": {GOOD}", ": ok")
    colour = {"failed": "red", "unreachable": "red"}.get(status)
    return f"  {click.style(f'{phase:<8}', fg=colour)} {seconds:5.1f} s  {message}"


@contextmanager
def progress(order: Order, *, quiet: bool) -> Iterator[Callable[[str, Any], None]]:
    """Yield what takes the notices of a run and shows them; with quiet only its warnings."""
    if quiet:
        yield render.notices_only
    elif not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        colour = color.setting()  # now: a run has an environment of its own
        lines = Lines(order, lambda line: click.echo(line, err=True, color=colour), lambda text: None)
        yield lines
        lines.finish()
    else:
        with _live(order) as lines:
            yield lines
            lines.finish()


@contextmanager
def _live(order: Order) -> Iterator[Lines]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the inventory")
        plain = color.setting() is False
        yield Lines(
            order,
            lambda line: console.print(Text(click.unstyle(line)) if plain else Text.from_ansi(line), soft_wrap=True),
            lambda text: bar.update(task, description=text),
        )
