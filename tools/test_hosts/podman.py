"""Podman with storage, settings and locks of its own, so that nobody else's containers are touched; and the image."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).with_name("recipe")
IMAGE = f"localhost/irctl-test-host:{hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:16]}"
START = ["-c", 'CMD ["/sbin/init"]', "-c", "STOPSIGNAL SIGRTMIN+3"]
PROGRAMS = {
    "podman": "podman", "runc": "runc", "debootstrap": "debootstrap", "ip": "iproute2", "ssh": "openssh-client",
    "ssh-keygen": "openssh-client", "nsenter": "util-linux", "unshare": "util-linux",
}  # fmt: skip
# Locks in files: those in shared memory are one set for all of root's podman, and a new folder of state frees them all.
CONTAINERS = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
base_hosts_file = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
static_dir = "{folder}/state"
volume_path = "{folder}/volumes"
tmp_dir = "{run}/tmp"
"""
STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{run}/storage"
"""


class Unable(Exception):
    """What cannot be done, in a sentence."""


def missing() -> str:
    """What this machine lacks for test hosts; '' for nothing."""
    if os.geteuid() != 0:
        return "test hosts need root: only root can give containers a network of their own"
    if lacking := sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)}):
        return f"test hosts need packages: apt-get install {' '.join(lacking)}, as tools/install-test-servers does"
    if subprocess.run(["unshare", "--net", "--mount", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        return "test hosts need network namespaces, which this machine does not let root make (a container without CAP_SYS_ADMIN?)"
    return ""


def folder() -> Path:
    """Where the image, podman's own state and the list of sets lie. Not below $HOME, which tests set to a folder of their own."""
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    found = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "irctl" / "test-hosts"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Be the only process of this machine that does what the name says."""
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(words: Sequence[str], *, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program. Raises Unable with what it said last when it fails, unless not check."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120}
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(words, text=True, **{**given, **more})
    except subprocess.TimeoutExpired as error:
        raise Unable(f"{' '.join(words[:3])}: it did not end within {error.timeout:g} s") from None
    if check and done.returncode != 0:
        said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        raise Unable(f"{' '.join(words[:3])}: {said[-1] if said else f'exit {done.returncode}'}")
    return done


def podman(*words: str, check: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
    return run(["podman", *words], check=check, env={**os.environ, **settings()}, **more)


@cache
def settings() -> dict[str, str]:
    """The environment in which podman is ours. What podman keeps for one boot lies below /run."""
    here = folder()
    where = {"folder": here, "run": f"/run/irctl-test-hosts-{hashlib.sha256(os.fsencode(here)).hexdigest()[:8]}"}
    most = {"files": resource.RLIMIT_NOFILE, "processes": resource.RLIMIT_NPROC}
    limits = {name: _limit(resource.getrlimit(number)[1]) for name, number in most.items()}
    for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
        _put(here / name, text.format(**where, **limits))
    return {"CONTAINERS_CONF": str(here / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(here / "storage.conf")}


def _limit(most: int) -> int:
    return 20000 if most == resource.RLIM_INFINITY else min(most, 20000)


def _put(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.replace(path)


def built() -> bool:
    return podman("image", "exists", IMAGE, check=False).returncode == 0


def build() -> float:
    """Build the image where it is not there yet; return the seconds it took. Raises Unable with the reason, such as no network."""
    begun = time.monotonic()
    with alone("build"):
        if built():
            return 0.0
        place = folder() / "build"
        shutil.rmtree(place, ignore_errors=True)  # of a build that was killed; its mounts went with it
        place.mkdir(mode=0o755)
        try:
            with (folder() / "build.log").open("w") as log:
                # Mounts of its own: of a debootstrap that is killed, nothing stays mounted below a folder that is removed later.
                words = ["unshare", "--mount", "--propagation", "private", "bash", str(RECIPE), str(place)]
                if subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=1800).returncode != 0:
                    raise Unable(f"the image of the test hosts could not be built; {log.name} says: {_last(Path(log.name))}")
            _import(place)
            podman("image", "prune", "--all", "--force", "--filter", "until=720h", check=False)  # of recipes that were
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return time.monotonic() - begun


def _last(log: Path) -> str:
    return next((line.strip() for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "nothing")


def _import(place: Path) -> None:
    tar = subprocess.Popen(["tar", "--one-file-system", "--numeric-owner", "-C", str(place), "-c", "."], stdout=subprocess.PIPE)
    podman("import", "--quiet", *START, "-", IMAGE, stdin=tar.stdout, timeout=600)
    if tar.wait() != 0:
        podman("image", "rm", IMAGE, check=False)
        raise Unable("the image of the test hosts could not be read whole by tar")


def containers(label: str) -> list[str]:
    """The names of our containers with this label."""
    said = podman("ps", "--all", "--filter", f"label={label}", "--format", "json").stdout
    return [name for one in json.loads(said or "[]") for name in one["Names"]]


def forget_cgroup(name: str) -> None:
    """Remove the empty control groups that podman leaves of a set's containers, in each hierarchy that there is."""
    for place in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for inner, _, _ in os.walk(place / name, topdown=False):
            with suppress(OSError):  # somebody is still in it, and it is tried again when the set is swept
                os.rmdir(inner)
