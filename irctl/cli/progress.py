"""Live progress on standard error: one line for each phase and host; on a terminal also what is under way and for how long."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from irctl.cli import color, render
from irctl.orders.order import Order
from irctl.running.results import Step

FEW = 10  # hosts that get a line each; above it a phase gets one line for all


STOPPED = {"unreachable": "unreachable"}  # what is shown of a host that goes no further


class Lines:
    """Turns the steps of a run into lines. `write` prints one, `under_way` shows the phase that is going on now."""

    def __init__(self, order: Order, write: Callable[[str], None], under_way: Callable[[str], None]) -> None:
        self._order, self._write, self._under_way = order, write, under_way
        self._hosts = 0
        self._since: dict[str, float] = {}
        self._ended: Counter[str] = Counter()

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
        parts = [click.style(order.remediation.name, bold=True), f"{render.names(order.names)} ({count})", order.incident]
        parts.append("check: nothing is changed" if order.check else "")
        self._write(" · ".join(part for part in parts if part))

    def _step(self, step: Step) -> None:
        if not step.ended:
            self._since.setdefault(step.phase, time.monotonic())
            self._under_way(step.phase)
            return
        self._ended[step.phase] += 1
        if step.phase == "Report":
            return
        if step.status != "ok":  # the result says the reason, once
            self._write(_line(step.phase, step.seconds, f"{step.host}: {STOPPED.get(step.status, 'stopped')}", step.status))
        elif self._hosts <= FEW:
            self._write(_line(step.phase, step.seconds, f"{step.host}: {step.message}" if step.message else step.host, step.status))
        elif self._ended[step.phase] == self._hosts:
            self._write(_line(step.phase, time.monotonic() - self._since[step.phase], f"{self._hosts} hosts", "ok"))


def _line(phase: str, seconds: float, message: str, status: str) -> str:
    message = "ok" if message == "All assertions passed" else message.replace(": All assertions passed", ": ok")
    colour = {"failed": "red", "unreachable": "red"}.get(status)
    return f"  {click.style(f'{phase:<8}', fg=colour)} {seconds:5.1f} s  {message}"


@contextmanager
def progress(order: Order, *, quiet: bool) -> Iterator[Callable[[str, Any], None]]:
    """Yield what takes the notices of a run and shows them; with quiet only its warnings."""
    if quiet:
        yield render.notices_only
    elif not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        colour = color.setting()  # now: a run has an environment of its own
        yield Lines(order, lambda line: click.echo(line, err=True, color=colour), lambda text: None)
    else:
        with _live(order) as lines:
            yield lines


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
