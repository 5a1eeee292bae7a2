"""Sets of test hosts: each has a folder, a network, keys of its own, and an owner; those that nobody owns any more are removed."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.test_hosts import network, podman
from tools.test_hosts.podman import IMAGE, Unable

MOST = 20  # hosts of one set; 60 MB each
SECONDS = 60  # until a host must be up
INVENTORY = "inventory.yml"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
CLIENT = """
Host *
  User ops
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
"""
_first_processes: dict[str, tuple[int, str]] = {}  # of each container: its pid, and when it began


def inside(container: str) -> list[str]:
    """What is put before a command to run it in a container. Raises Unable where it is not running."""
    pid, begun = _first_processes.get(container, (0, ""))
    if not begun or began(pid) != begun:
        pid = int(podman.podman("inspect", "--format", "{{.State.Pid}}", container).stdout)
        if not (begun := began(pid)):
            raise Unable(f"{container} is not running")
        _first_processes[container] = pid, begun
    return ["nsenter", "--target", str(pid), "--all", "--root", "--wd", "--"]


@dataclass(frozen=True)
class Host:
    """One host. `container` is its name for podman."""

    name: str
    address: str
    address6: str
    container: str

    def run(self, *words: str, user: str = "root", check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on it, not through ssh. Raises Unable with what it said last when it fails, unless not check.

        By nsenter, because `podman exec` computes for some tenths of a second before the command begins.
        """
        given = {"stdin": None, **more} if "input" in more else more
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", "--"]
        return podman.run([*inside(self.container), *become, *words], check=check, **given)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout


@dataclass(frozen=True)
class Set:
    """Hosts on one network. All that leads to them is in `folder`: inventory.yml, ssh_config, ssh, sftp, scp, key, known_hosts."""

    name: str
    folder: Path
    hosts: tuple[Host, ...]

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    @property
    def inventory(self) -> Path:
        return self.folder / INVENTORY

    @property
    def within(self) -> list[str]:
        """What is put before a command to run it where the hosts can be reached."""
        return network.within(self.name)

    def reach(self, name: str) -> dict[str, Any]:
        """The inventory variables that lead to a host. They hold inside the network's namespace and outside of it."""
        programs = {f"ansible_{program}_executable": str(self.folder / program) for program in ("ssh", "sftp", "scp")}
        about = {"ansible_python_interpreter": "/usr/bin/python3", "irctl_drills": "allowed"}
        return {"ansible_host": self[name].address, **programs, **about}

    @contextmanager
    def outsider(self, *addresses: str) -> Iterator[list[str]]:
        """Somebody else on the network, with any addresses. Yields what is put before a command to run it there."""
        space = network.join(self.name, f"o{secrets.token_hex(3)}", *addresses)
        try:
            yield network.within(space)
        finally:
            network.leave(space)


def up(number: int, folder: Path, owner: int | None = None) -> Set:
    """Start a set whose files lie in folder, a new or empty one. It is removed when the process `owner` is gone, or the folder.

    Raises Unable with the reason.
    """
    if not 1 <= number <= MOST:
        raise Unable(f"a set has 1 to {MOST} hosts (got {number})")
    folder = _plain(folder.absolute())
    podman.build()
    found = _register(number, folder, owner)
    try:
        _make_keys(found)
        network.make(found.name)
        with ThreadPoolExecutor() as pool:
            keys = list(pool.map(lambda host: _start(found, host), found.hosts))
        lines = [
            f"{','.join(filter(None, (host.address, host.address6)))} {key}" for host, key in zip(found.hosts, keys, strict=True)
        ]
        (folder / "known_hosts").write_text("".join(lines))
        _write_inventory(found)
    except BaseException:
        down(found)
        raise
    return found


def _plain(folder: Path) -> Path:
    """The folder's path, which goes into scripts and ssh's configuration as it is. Raises Unable where it cannot."""
    if not re.fullmatch(r"[A-Za-z0-9_./@+,=-]+", str(folder)):
        raise Unable(f"the path of a set may hold letters, digits and _./@+,=- only (got {folder})")
    return folder


def _register(number: int, folder: Path, owner: int | None) -> Set:
    """Write the set down before anything of it is made, so that whatever happens it can be found and removed."""
    with podman.alone("sets"):
        sweep()
        name = f"irctl-{secrets.token_hex(4)}"
        hosts = tuple(
            Host(f"h{one}", network.address(one), network.address6(one), f"{name}-h{one}") for one in range(1, number + 1)
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Unable(f"{folder} is not empty; if it is an earlier set: tools/test-hosts down --folder {folder}")
        found = Set(name, folder, hosts)
        about = {**asdict(found), "folder": str(folder), "boot": _boot(), "owner": owner, "began": began(owner) if owner else None}
        (folder / "set.json").write_text(json.dumps(about))
        _entry(name).write_text(json.dumps(about))
    return found


def _register_folder() -> Path:
    place = podman.folder() / "sets"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


def _entry(name: str) -> Path:
    return _register_folder() / f"{name}.json"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def began(pid: int) -> str:
    """When a process began, so that another one with its number is not taken for it; '' where there is none."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except OSError:
        return ""


def _make_keys(found: Set) -> None:
    podman.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", found.name, "-f", str(found.folder / "key")])
    known = "".join(f"\nHost {host.name}\n  HostName {host.address}\n" for host in found.hosts)
    (found.folder / "ssh_config").write_text(known + CLIENT.format(folder=found.folder))
    for program in ("ssh", "sftp", "scp"):
        script = found.folder / program
        script.write_text(f'#!/bin/sh\nexec {" ".join(found.within)} {program} -F {found.folder}/ssh_config "$@"\n')
        script.chmod(0o700)


def _start(found: Set, host: Host) -> str:
    """Start a host and wait until systemd is done and ssh answers; return its ssh key."""
    space = network.join(found.name, host.name, host.address, host.address6)
    keys = f"{found.folder}/key.pub:/etc/ssh/irctl_authorized_keys:ro"
    # No name server: who asks for a name that is none of theirs is told so at once.
    names = ["--dns=127.0.0.1", *(f"--add-host={one.name}:{one.address}" for one in found.hosts)]
    podman.podman(
        "run", "--detach", "--name", host.container, "--hostname", host.name, "--label", f"set={found.name}",
        "--network", f"ns:{network.path(space)}", *names, "--cgroup-parent", f"/{found.name}",
        "--systemd=always", "--cap-add=NET_ADMIN,AUDIT_WRITE", "--volume", keys, IMAGE,
    )  # fmt: skip
    _wait(lambda: host.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip() in ("running", "degraded"), host)
    return host.read(HOST_KEY)


def _wait(is_so: Callable[[], bool], host: Host) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise Unable(f"{host.name} was not up within {SECONDS} s")
        time.sleep(0.1)


def _write_inventory(found: Set) -> None:
    """YAML is a superset of JSON, and this file needs no library to be written."""
    hosts = {host.name: found.reach(host.name) for host in found.hosts}
    found.inventory.write_text(json.dumps({"all": {"hosts": hosts}}, indent=2) + "\n")


def read(entry: Path) -> tuple[Set, dict[str, Any]]:
    """A set as it was written down, and all that was."""
    about = json.loads(entry.read_text())
    return Set(about["name"], Path(about["folder"]), tuple(Host(**host) for host in about["hosts"])), about


def at(folder: Path) -> Set:
    """The set whose files lie in folder. Raises Unable where there is none."""
    try:
        return read(folder / "set.json")[0]
    except OSError:
        raise Unable(f"there is no set of test hosts in {folder}") from None


def listed() -> list[tuple[Set, dict[str, Any]]]:
    """The sets that were started and not yet removed."""
    found = []
    for entry in sorted(_register_folder().glob("irctl-*.json")):
        with suppress(FileNotFoundError):  # removed meanwhile
            found.append(read(entry))
    return found


def down(found: Set) -> None:
    """Remove a set: its containers, its namespaces with all who are in them, its folder. May be done again."""
    for container in podman.containers(f"set={found.name}"):
        podman.podman("rm", "--force", "--time", "0", "--volumes", container, check=False)
    for namespace in network.members(found.name):
        network.leave(namespace)
    podman.forget_cgroup(found.name)
    if _lies_in(found, found.folder):
        shutil.rmtree(found.folder, ignore_errors=True)
    with suppress(FileNotFoundError):
        _entry(found.name).unlink()


def _lies_in(found: Set, folder: Path) -> bool:
    try:
        return at(folder).name == found.name
    except Unable:
        return False


def sweep() -> None:
    """Remove the sets of an earlier boot, of an owner that is gone, or whose folder is gone."""
    for found, about in listed():
        gone = about["owner"] is not None and began(about["owner"]) != about["began"]
        if gone or about["boot"] != _boot() or not _lies_in(found, found.folder):
            down(found)
