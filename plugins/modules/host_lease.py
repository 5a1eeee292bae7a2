#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Keep the end of a lease on this host: arm it, extend it, disarm it, and end the lease when it is over."""

from __future__ import annotations

DOCUMENTATION = """
module: host_lease
short_description: Keep the end of a lease on its own host, with a timer of systemd
description:
  - Own module, because what a timer starts has to undo the change by the very code that irctl uses, and to count time as it
    does, so that a stepped clock or a reboot neither ends a lease early nor keeps it.
  - M(irctl.runbooks.lease_end) uses it and gives it what it needs. It needs root.
options:
  state:
    description: What is to become of it. V(listed) only looks, V(due) is for the timer on the host.
    type: str
    choices: [armed, extended, absent, listed, due]
    default: listed
  name:
    description: What the lease is called on the host.
    type: str
    required: true
  alone:
    description: Whether to refuse where the same change is on the host already.
    type: bool
    default: true
  lease:
    description: What is to be armed, as C(seconds), C(settles), C(module), C(user), C(python) and C(record).
    type: dict
  scripts:
    description: The files that the timer needs, by name.
    type: dict
  left:
    description: How many seconds from now it is to end, for V(state=extended).
    type: int
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: When it ends there
  irctl.runbooks.host_lease:
    name: 20261121T022311Z-db-freeze-writes-7f3a01.db1
"""
RETURN = """
left:
  description: How many seconds from now it ends; negative where that is past.
  returned: when listed
  type: float
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import moments, paths, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.host import leases
from ansible_collections.irctl.runbooks.plugins.module_utils.host.leases import HostLease
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration, printable

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["armed", "extended", "absent", "listed", "due"], "default": "listed"},
    "name": {"type": "str", "required": True},
    "alone": {"type": "bool", "default": True},
    "lease": {"type": "dict"},
    "scripts": {"type": "dict", "no_log": True},  # too long for any log
    "left": {"type": "int"},
}
ABOUT = "lease.json"
GONE = "The host has ended it, or it was disarmed there."
PATIENCE = 240  # seconds for one step
ERROR = 3  # how loud a line of the journal is
NOTICE = 5

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do what params['state'] says with the lease params['name']. Raises Failure or ValueError."""
    name = params["name"]
    if not leases.NAME.fullmatch(name):
        raise ValueError("name: that of a lease is needed")
    return _STATES[params["state"]](name, params, check_mode)


def _folder(name: str) -> str:
    return os.path.join(leases.ROOT, name)


def _arm(name: str, params: Params, check_mode: bool) -> Result:
    given = {**params["lease"], "name": name, "alone": params["alone"]}
    lease = HostLease(**given, armed=moments.now())
    message = f"ends on the host too, by {leases.unit(name)}.timer, after {duration(lease.seconds)}"
    if check_mode:
        return {"changed": True, "msg": message}
    try:
        _make_folders(name)
    except OSError as error:  # there is nothing to take away, or it is somebody else's
        raise _unable(error) from None
    try:
        with programs.alone(leases.ROOT):
            if clash := leases.clash(lease, _others(name)):
                raise Failure(clash)
            _install(lease, params["scripts"])
    except (Failure, OSError) as error:
        _remove(name)
        raise _unable(error) from None
    return {"changed": True, "msg": message}


def _unable(error: Failure | OSError) -> Failure:
    why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return Failure(f"Its end cannot be armed on the host: {why}")


def _make_folders(name: str) -> None:
    for path in (os.path.dirname(leases.ROOT), leases.ROOT):
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
    os.mkdir(_folder(name), 0o700)


def _others(name: str) -> list[HostLease]:
    """Every other lease that is armed here."""
    leases_here = []
    for other in sorted(os.listdir(leases.ROOT)):
        with suppress(OSError, ValueError):
            leases_here += [_read(other)] if other != name else []
    return leases_here


def _read(name: str) -> HostLease:
    with open(os.path.join(_folder(name), ABOUT), encoding="utf-8") as file:
        return leases.parse(file.read())


def _install(lease: HostLease, scripts: dict[str, str]) -> None:
    """Write it down, start its timer, and see one look succeed. Raises Failure or OSError."""
    for file, content in {**scripts, ABOUT: leases.text(lease)}.items():
        _write(os.path.join(_folder(lease.name), os.path.basename(file)), content, 0o600)
    for file, content in leases.units(lease).items():
        _write(os.path.join(leases.UNITS, file), content, 0o644)
    unit = leases.unit(lease.name)
    _systemctl("daemon-reload")
    _systemctl("start", f"{unit}.service")
    _systemctl("enable", "--now", f"{unit}.timer")
    _systemctl("is-active", f"{unit}.timer")


def _systemctl(*words: str) -> None:
    programs.output(["systemctl", *words], seconds=leases.LONGEST_LOOK)


def _write(path: str, content: str, mode: int) -> None:
    """A whole new file in the place of the old one, on the disk."""
    fresh = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(fresh)
        raise OSError(error.errno, error.strerror, path) from None


def _remove(name: str) -> bool:
    """Take away all that was armed, whatever of it is there; whether there was anything."""
    unit = leases.unit(name)
    files = [os.path.join(leases.UNITS, f"{unit}.{kind}") for kind in ("timer", "service")]
    existing = [path for path in (*files, _folder(name)) if paths.has_name(path)]
    if any(paths.has_name(path) for path in files):
        with suppress(Failure):
            _systemctl("disable", "--now", f"{unit}.timer")
        for path in files:
            with suppress(FileNotFoundError):
                os.unlink(path)
        with suppress(Failure):
            _systemctl("daemon-reload")
        with suppress(Failure):
            _systemctl("reset-failed", f"{unit}.service")
    shutil.rmtree(_folder(name), ignore_errors=True)
    return bool(existing)


def _absent(name: str, params: Params, check_mode: bool) -> Result:
    if not paths.is_folder(_folder(name)):
        removed = False if check_mode else _remove(name)
        return {"changed": removed, "msg": "not armed on the host any more"}
    if not check_mode:
        with programs.alone(_folder(name)):  # so that it is not under way
            _remove(name)
    return {"changed": True, "msg": "disarmed on the host"}


def _listed(name: str, params: Params, check_mode: bool) -> Result:
    remaining = _armed_lease(name).remaining(moments.now())
    message = f"ends there in {duration(remaining)}" if remaining > 0 else "is over there"
    return {"changed": False, "left": remaining, "msg": message}


def _armed_lease(name: str) -> HostLease:
    try:
        lease = _read(name)
    except (OSError, ValueError):
        raise Failure(GONE) from None
    if lease.ended:
        raise Failure(GONE)
    return lease


def _extended(name: str, params: Params, check_mode: bool) -> Result:
    _armed_lease(name)
    with programs.alone(_folder(name)):
        lease = _armed_lease(name)  # it may have been ended while this waited
        longer = lease.lasting(moments.now(), params["left"])
        if not check_mode:
            _keep(longer)
    return {"changed": True, "msg": f"ends on the host in {duration(params['left'])}"}


def _keep(lease: HostLease) -> None:
    try:
        _write(os.path.join(_folder(lease.name), ABOUT), leases.text(lease), 0o600)
    except OSError as error:
        raise Failure(f"{_folder(lease.name)} cannot be written: {error.strerror}.") from None


def _due(name: str, params: Params, check_mode: bool) -> Result:
    """End it if it is over. What the timer starts."""
    if not paths.is_folder(_folder(name)):
        return {"changed": _remove(name), "msg": "not armed any more"}
    with programs.alone(_folder(name)):
        if not paths.is_folder(_folder(name)):  # it was disarmed while this waited
            return {"changed": _remove(name), "msg": "not armed any more"}
        now = moments.now()
        lease = _kept(name).seen(now)
        if lease.due(now):
            return _end(lease)
        with suppress(Failure):  # a full disk
            _keep(lease)
        return {"changed": False, "msg": f"ends in {duration(max(lease.remaining(now), 0))}"}


def _kept(name: str) -> HostLease:
    try:
        return _read(name)
    except (OSError, ValueError) as error:
        _log(ERROR, f"the lease {name} cannot be read, so nothing here ends it: {printable(error, 200)}")
        raise Failure(f"{_folder(name)} cannot be read: {printable(error, 200)}") from None


def _end(lease: HostLease) -> Result:
    """Put it back; again, should its run have been slower than its time; and go when nothing of the run can come any more."""
    try:
        results = [_carry_out(lease, step) for step in leases.STEPS]
    except Failure as error:
        if not lease.ended:
            _failed(lease, str(error))
            raise
        results = []  # what has become of it since is somebody else's
    messages = ", ".join(printable(result.get("msg") or "done", 300) for result in results)
    changed = any(result.get("changed") for result in results)
    if changed or not lease.ended:
        _log(NOTICE, f"the lease {lease.name} is over and was ended: {messages}")
    if lease.settled(moments.now()):
        _remove(lease.name)
    else:
        with suppress(Failure):
            _keep(replace(lease, ended=True))
    return {"changed": changed, "msg": messages}


def _failed(lease: HostLease, why: str) -> None:
    lease = lease.failed(moments.now(), why)
    with suppress(Failure):
        _keep(lease)
    _log(ERROR, f"the lease {lease.name} is over and could not be ended ({lease.attempts} attempts): {why}")


def _log(level: int, message: str) -> None:
    sys.stderr.write(f"<{level}>{message}\n")
    sys.stderr.flush()


def _carry_out(lease: HostLease, step: str) -> Result:
    """Run one of the kept scripts as the lease's user, who cannot read it; its result. Raises Failure."""
    try:
        user = pwd.getpwnam(lease.user)
        with tempfile.TemporaryDirectory(prefix="irctl-lease-") as place:  # below TMPDIR, which is no disk that may be full
            os.chown(place, user.pw_uid, user.pw_gid)
            with open(os.path.join(_folder(lease.name), step), "rb") as script:
                done = _start(lease, user, script, place)
    except (KeyError, OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{step} cannot be run as {lease.user}: {printable(error, 200)}") from None
    return _judged(done)


def _start(lease: HostLease, user: pwd.struct_passwd, script: Any, place: str) -> subprocess.CompletedProcess[str]:
    whose = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    become: dict[str, Any] = {}
    if user.pw_uid != os.geteuid():
        become = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": os.getgrouplist(user.pw_name, user.pw_gid)}
    return subprocess.run(
        [*lease.python, "-"],
        stdin=script,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
        cwd="/",
        env={"PATH": programs.PATH, "LANG": "C.UTF-8", "TMPDIR": place, **whose},
        **become,
    )


def _judged(done: subprocess.CompletedProcess[str]) -> Result:
    """The result of a module. Raises Failure where it failed."""
    try:
        result: Result = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise Failure(f"The module ended with {done.returncode}: {printable(last, 300)}") from None
    if done.returncode or result.get("failed"):
        raise Failure(printable(result.get("msg") or "no reason was given", 300))
    return result


_STATES = {"armed": _arm, "extended": _extended, "absent": _absent, "listed": _listed, "due": _due}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
