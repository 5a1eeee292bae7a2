"""Live progress on standard error: one line for each phase and host; on a terminal also what is under way and for how long."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from irctl.cli import render
from irctl.orders.flow import Order
from irctl.running.results import Step

FEW = 10  # hosts that get a line each; above it a phase gets one line for all


class Lines:
    """Turns steps into lines. `write` prints one, `under_way` shows what is going on now."""

    def __init__(self, order: Order, write: Callable[[str], None], under_way: Callable[[str], None]) -> None:
        self._order, self._write, self._under_way = order, write, under_way
        self._hosts = 0
        self._since: dict[str, float] = {}
        self._ended: Counter[str] = Counter()

    def __call__(self, what: str, about: Any) -> None:
        """Take one notice of the flow: ('hosts', names), ('said', text) or ('step', Step); or of a drill: ('drill', Step)."""
        if what == "hosts":
            self._header(about)
        elif what == "said":
            self._write(f"warning: {about}")
        elif what == "drill":
            self._write(_line(about.phase, about.seconds, about.said, about.status))
        elif isinstance(about, Step):
            self._step(about)

    def _header(self, hosts: list[str]) -> None:
        order, self._hosts = self._order, len(hosts)
        count = f"{self._hosts} host{'s' if self._hosts != 1 else ''}"
        parts = [click.style(order.found.name, bold=True), f"{', '.join(order.names)} ({count})", order.incident]
        parts.append("check: nothing is changed" if order.check else "")
        self._write(" · ".join(part for part in parts if part))

    def _step(self, step: Step) -> None:
        if not step.ended:
            self._since.setdefault(step.phase, time.monotonic())
            self._under_way(step.phase)
            return
        self._ended[step.phase] += 1
        if step.phase == "Report" and step.status == "ok":
            return
        if self._hosts <= FEW:
            self._write(_line(step.phase, step.seconds, f"{step.host}: {step.said}" if step.said else step.host, step.status))
        elif step.status != "ok":
            self._write(_line(step.phase, step.seconds, f"{step.host}: {step.said}", step.status))
        elif self._ended[step.phase] == self._hosts:
            self._write(_line(step.phase, time.monotonic() - self._since[step.phase], f"{self._hosts} hosts", "ok"))


def _line(phase: str, seconds: float, said: str, status: str) -> str:
    said = "ok" if said == "All assertions passed" else said.replace(": All assertions passed", ": ok")
    colour = {"failed": "red", "unreachable": "red"}.get(status)
    return f"  {click.style(f'{phase:<8}', fg=colour)} {seconds:5.1f} s  {said}"


@contextmanager
def progress(order: Order, *, quiet: bool) -> Iterator[Callable[[str, Any], None]]:
    """Yield what the flow tells its notices to; quiet shows only what is said aloud."""
    if quiet:
        yield render.quiet
    elif not sys.stderr.isatty():
        yield Lines(order, lambda line: click.echo(line, err=True), lambda text: None)
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
        yield Lines(
            order,
            lambda line: console.print(Text.from_ansi(line), soft_wrap=True),
            lambda text: bar.update(task, description=text),
        )
