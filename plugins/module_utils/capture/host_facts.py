"""What is true of a host now and nowhere written down: processes, sockets, mounts, users and the like, each as a bounded text.

Environments are never read, and command lines are kept without the secrets that stand in them.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import masks, streams
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

MOST = 8 << 20  # bytes of one program's words, or of one file
CUT = f"# cut after {MOST} bytes"
SECONDS = 20.0  # for one program
CLOCK = os.sysconf("SC_CLK_TCK")

Part = Any  # a program's words, the path of a file, or a function that yields lines


def processes() -> Iterator[str]:
    """Every process, with what it is started from and its arguments, from /proc itself: a replaced `ps` cannot hide one."""
    booted = _booted()
    yield "pid ppid uid state started rss_kib program arguments"
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        try:
            yield _process(pid, booted)
        except OSError:
            continue  # it has ended meanwhile


def utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _booted() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        return next((float(line.split()[1]) for line in file if line.startswith("btime")), 0.0)


def _process(pid: str, booted: float) -> str:
    status = _read(f"/proc/{pid}/stat").decode("utf-8", "replace")
    name, _bracket, rest = status.partition("(")[2].rpartition(")")
    fields = rest.split()
    words = _read(f"/proc/{pid}/cmdline").rstrip(b"\0").split(b"\0")
    command = " ".join(masks.words(word.decode("utf-8", "backslashreplace") for word in words)) or f"[{name}]"
    started = utc(booted + int(fields[19]) / CLOCK)
    size = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") >> 10
    uid = os.stat(f"/proc/{pid}").st_uid
    return f"{pid} {fields[1]} {uid} {fields[0]} {started} {size} {_program(pid)} {printable(command, 4000)}"


def _program(pid: str) -> str:
    try:
        return printable(os.readlink(f"/proc/{pid}/exe")).replace(" ", "\\x20")
    except OSError:
        return "-"


def _times() -> Iterator[str]:
    yield f"wall clock {utc(time.time())}"
    yield f"since boot {time.clock_gettime(time.CLOCK_BOOTTIME):.3f} s"


def _crontabs() -> Iterator[str]:
    places = ("/etc/crontab", "/etc/cron.d/*", "/etc/anacrontab", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")
    for path in (path for place in places for path in sorted(glob.glob(place))):
        try:
            content = _read(path).decode("utf-8", "replace")
        except OSError:
            continue
        yield f"# {printable(path)}"
        yield from (printable(masks.text(line), 4000) for line in content.splitlines())


FACTS: dict[str, tuple[Part, ...]] = {
    "clock": (_times, ("timedatectl", "show"), ("chronyc", "-n", "tracking"), ("ntpq", "-np")),
    "processes": (processes,),
    "sockets": (("ss", "-anpe"),),
    "network": (("ip", "-s", "address"), ("ip", "route", "show", "table", "all"), ("ip", "neighbour")),
    "memory": ("/proc/meminfo", "/proc/loadavg", "/proc/pressure/memory", "/proc/pressure/cpu", "/proc/pressure/io"),
    "disks": (("df", "-PTk"), ("df", "-Pi")),
    "mounts": ("/proc/self/mountinfo",),
    "users": (("who", "-a"), ("last", "-Fw", "-n", "1000"), "/etc/passwd", "/etc/group"),
    "services": (("systemctl", "list-units", "--all", "--plain", "--no-pager", "--full"),),
    "cron": (_crontabs, ("systemctl", "list-timers", "--all", "--no-pager", "--full")),
    "system": (("uname", "-a"), "/usr/lib/os-release", "/proc/modules", "/proc/sys/kernel/tainted"),
    "packages": (("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\\n"), ("rpm", "-qa"), ("apk", "info", "-v")),
}  # in the order in which they vanish


def text(name: str) -> str:
    """One of FACTS, its parts under headings. Raises Failure where none of them is to be had."""
    parts, missing = [], []
    for part in FACTS[name]:
        try:
            parts.append(f"# {_heading(part)}\n{_content(part).rstrip()}\n")
        except (Failure, OSError) as error:
            missing.append(str(error) if isinstance(error, Failure) else f"{part}: {(error.strerror or 'cannot be read').lower()}")
    if not parts:
        raise Failure(" ".join(missing))
    return "\n".join([*parts, *(f"# not to be had: {reason}\n" for reason in missing)])


def _heading(part: Part) -> str:
    if callable(part):
        return str(part.__name__).strip("_")
    return str(part) if isinstance(part, str) else " ".join(part).replace("\\n", "")


def _content(part: Part) -> str:
    if callable(part):
        return "\n".join(part())
    if isinstance(part, str):
        return _marked_where_cut(_read(part))
    with streams.Program(part, SECONDS) as program:
        output = _marked_where_cut(b"".join(program.pieces(MOST)))
    return masks.text(output)  # systemd calls a unit by the command that it was made for


def _marked_where_cut(content: bytes) -> str:
    return content.decode("utf-8", "replace") + (f"\n{CUT}" if len(content) >= MOST else "")


def _read(path: str) -> bytes:
    """A regular file, its first MOST bytes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        return file.read(MOST)
