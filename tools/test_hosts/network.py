"""A network that exists only between namespaces of its own: a controller's, with a bridge, and one for each host on it."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tools.test_hosts.podman import run

V4 = ipaddress.ip_network("10.89.77.0/24")
V6 = ipaddress.ip_network("fd89:77::/64")
NAMESPACES = Path("/run/netns")


def path(namespace: str) -> Path:
    return NAMESPACES / namespace


def within(namespace: str) -> list[str]:
    """What is put before a command to run it in this namespace; it becomes that command."""
    return ["nsenter", f"--net={path(namespace)}"]


def address(number: int) -> str:
    """The IPv4 address of host number 1, 2, ...; the controller's is number 0's."""
    return str(V4[10 + number] if number else V4[1])


def address6(number: int) -> str:
    """As address, of IPv6; '' where this machine has none."""
    return str(V6[0x10 + number] if number else V6[1]) if Path("/proc/sys/net/ipv6").exists() else ""


def make(name: str) -> None:
    """The controller's namespace with the bridge that all the others hang on."""
    run(["ip", "netns", "add", name])
    _ip(name, "link set lo up", "link add br0 type bridge", "link set br0 up", *_addresses("br0", address(0), address6(0)))


def join(name: str, member: str, *addresses: str) -> str:
    """A namespace on the bridge with these addresses. All addresses there are are its neighbours. Returns its name."""
    space = f"{name}-{member}"
    run(["ip", "netns", "add", space])
    _ip(name, f"link add {member} type veth peer name eth0 netns {space}", f"link set {member} master br0 up")
    routes = ["route add default dev eth0", *(["-6 route add default dev eth0"] if address6(0) else [])]
    _ip(space, "link set lo up", "link set eth0 up", *_addresses("eth0", *addresses), *routes)
    return space


def _addresses(device: str, *addresses: str) -> list[str]:
    return [
        f"addr add {one}/{V6.prefixlen} dev {device} nodad" if ":" in one else f"addr add {one}/{V4.prefixlen} dev {device}"
        for one in addresses
        if one
    ]


def _ip(namespace: str, *commands: str) -> None:
    for command in commands:
        run(["ip", "-n", namespace, *command.split()])


def leave(namespace: str) -> None:
    """Remove a namespace, ending whoever is still in it."""
    said = run(["ip", "netns", "pids", namespace], check=False).stdout
    for pid in {int(word) for word in said.split()} - {os.getpid()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL)


def members(name: str) -> list[str]:
    """The namespaces of a network that there are, the controller's last."""
    found = sorted(one.name for one in NAMESPACES.glob(f"{name}*") if one.name == name or one.name.startswith(f"{name}-"))
    return [*[one for one in found if one != name], *[one for one in found if one == name]]
