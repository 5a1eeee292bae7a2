"""A block list as a file that nginx includes: deny lines, or bare addresses where a rule of ModSecurity reads it.

The file is ours alone. What counts is what nginx serves by: a change is tested, and new workers have to have read it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import host_network
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration, modsecurity
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import workers as nginx_workers
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

HEADER = "# The block list of irctl: block-ip writes this file anew. Keep other lines elsewhere.\n"
LARGEST = 16 << 20  # bytes
TICK = 0.02  # seconds; as exactly as the kernel tells when a process started
SHOWN = 3  # places where the list does not hold

_LINE = re.compile(r"(?:deny\s+)?([0-9A-Fa-f:./]+)\s*(;?)", re.ASCII)


class Config(NamedTuple):
    """What nginx would start with: its directives, and the rules of ModSecurity that they name."""

    directives: tuple[Directive, ...]
    rules: list[tuple[str, str]]


class Kept(NamedTuple):
    """A file as it was, to be put back."""

    content: bytes
    times: tuple[int, int]


class Backend:
    """The file `nginx_include`, of an nginx that `nginx_test` tests and `nginx_reload` reloads."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        path = params["nginx_include"]
        if not path or not os.path.isabs(path):
            raise ValueError("edge_nginx_include: the absolute path of a file is needed, such as /etc/nginx/conf.d/blocked.conf")
        if "-t" not in params["nginx_test"]:
            raise ValueError("edge_nginx_test: the command has to contain -t, as in nginx -t")
        if not params["nginx_reload"]:
            raise ValueError("edge_nginx_reload: a command is needed, such as nginx -s reload")
        self._params = params
        self._given, self._path = path, os.path.realpath(path)
        self._test: list[str] = params["nginx_test"]
        self._reload: list[str] = params["nginx_reload"]
        self._looked: Config | None = None

    def read(self) -> Blocked:
        place = {"backend": "nginx", "name": self._path}
        asked = networks.parse_all(self._params["addresses"])[0]
        there, cannot = frozenset[Network](), dict[int, str]()
        try:
            there = self._entries()
            if not self._served():
                there = self._unsure(there, asked)
        except Failure as error:
            if self._takes_out():
                raise
            if not (self._params["create_rule"] and self._awaited(error)):
                covered = networks.covering(there)
                cannot = {one.version: str(error) for one in networks.ordered(asked)[::-1] if not covered(one)}
                cannot = dict(sorted(cannot.items())[:1])  # said once
        return Blocked(there, place, cannot=cannot)

    def _awaited(self, error: Failure) -> bool:
        """Whether all that nginx complains of is that the file is not there yet."""
        return not os.path.exists(self._path) and any(f'"{path}" failed (2:' in str(error) for path in (self._given, self._path))

    def _unsure(self, there: frozenset[Network], asked: frozenset[Network]) -> frozenset[Network]:
        """The file was written and not loaded, so what is asked for has to be done again, whichever it is."""
        return there | asked if self._takes_out() else there - networks.overlaps(there, dict.fromkeys(asked, "")).keys()

    def _takes_out(self) -> bool:
        return self._params["record"] is not None or self._params["state"] == "removed"

    def learnt(self) -> Protected:
        found = host_network.protected()
        try:
            proxies = configuration.proxies(self._config().directives)
        except Failure:
            return found  # and `read` says why, so that nothing is written
        return found | {_network(text, "set_real_ip_from"): "a proxy that nginx is told of" for text in proxies}

    def shortcomings(self) -> list[str]:
        try:
            said, served = self._gaps(self._config()), self._served()
        except Failure as error:
            return [str(error)]
        return said if said or served else ["nginx has not been reloaded since the list was written."]

    def ready(self, check_mode: bool) -> None:
        """Only the file is made; where it is included is not decided here."""
        with programs.alone(os.path.dirname(self._path)):
            fresh = not check_mode and not os.path.exists(self._path)
            if fresh:
                _replace(self._path, HEADER.encode())
        self._looked = None
        try:
            if said := self._gaps(self._config()):
                raise Failure(" ".join(said))
        except Failure as error:
            if fresh:
                os.unlink(self._path)
            if not (check_mode and self._awaited(error)):
                raise

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        with programs.alone(os.path.dirname(self._path)):
            self._looked = None
            workers = self._workers()
            before = _kept(self._path)
            wanted = (self._entries() | add) - remove
            _replace(self._path, self._text(wanted, self._config()))
            try:
                programs.output(self._test)
                workers.renew(self._reload)
            except BaseException:
                self._put_back(before)
                raise

    def _put_back(self, before: Kept | None) -> None:
        """The file as it was, and nginx with it, should it have taken the new one late."""
        if before is None:
            os.unlink(self._path)
        else:
            _replace(self._path, before.content, before.times)
        with suppress(Failure):
            programs.output(self._reload)

    def _text(self, wanted: Iterable[Network], config: Config) -> bytes:
        form = "{}\n" if self._bare(config) else "deny {};\n"
        return "".join([HEADER, *(form.format(shown(one)) for one in networks.ordered(wanted))]).encode()

    def _bare(self, config: Config) -> bool:
        """Whether a rule of ModSecurity reads the file. Raises Failure where nginx itself includes it too."""
        read = any(modsecurity.uses(line, folder, self._path) for line, folder in config.rules)
        if read and configuration.includes_list(config.directives):
            raise Failure(f"{self._path} is included by nginx and read by ModSecurity; it can have the form of one only.")
        return read

    def _gaps(self, config: Config) -> list[str]:
        """Why the list does not hold, as the configuration is."""
        said = self._holes(config)
        if sign := configuration.behind_a_proxy(config.directives):
            said.append(f"{sign} shows that proxies are before nginx, and no set_real_ip_from names them, so it sees only theirs.")
        return said

    def _holes(self, config: Config) -> list[str]:
        """Who gets past the list."""
        if self._bare(config):
            switched = {one.words[1] for one in configuration.named(config.directives, "modsecurity") if len(one.words) > 1}
            if switched != {"on"}:
                return ["ModSecurity is not on everywhere: 'modsecurity on' belongs into http, and no 'modsecurity off' anywhere."]
            return list(filter(None, [modsecurity.lacking(config.rules, self._path)]))
        if not configuration.includes_list(config.directives):
            return [f"The list blocks nothing: nginx does not include it. Put 'include {self._path};' into the http block."]
        listed = self._entries() | networks.parse_all(self._params["addresses"])[0]
        said = configuration.gaps(config.directives, listed)
        return said if len(said) <= SHOWN else [*said[:SHOWN], f"So in {len(said) - SHOWN} more places."]

    def _entries(self) -> frozenset[Network]:
        kept = _kept(self._path)
        return entries(kept.content.decode("utf-8", "replace"), self._path) if kept else frozenset()

    def _served(self) -> bool:
        """Whether nginx has loaded the file as it is. Raises Failure where nginx does not run."""
        kept, workers = _kept(self._path), self._workers()
        return kept is None or workers.age() < time.time() - kept.times[1] / 1e9 + TICK

    def _workers(self) -> nginx_workers.Workers:
        pids = [one.words[1] for one in configuration.named(self._config().directives, "pid") if len(one.words) > 1]
        return nginx_workers.of(pids[0] if pids else "", self._test)

    def _config(self) -> Config:
        """As last read. Raises Failure where nginx would not start with it."""
        if self._looked is None:
            self._looked = self._look()
        return self._looked

    def _look(self) -> Config:
        printed = programs.output(["-T" if word == "-t" else word for word in self._test])
        directives = configuration.parse(printed, self._given)
        rules: list[tuple[str, str]] = []
        for one in configuration.named(directives, "modsecurity_rules_file"):
            rules += modsecurity.lines(one.words[1]) if os.path.isabs(one.words[1]) else []
        for one in configuration.named(directives, "modsecurity_rules"):
            rules += modsecurity.directives(" ".join(one.words[1:]), "/")
        return Config(directives, rules)


def entries(text: str, path: str = "") -> frozenset[Network]:
    """What a file of ours lists. Raises Failure where a line is not one that irctl writes."""
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            if line.strip() not in ("", HEADER.strip()):
                raise Failure(_foreign(number, path, line))
            continue
        seen = _LINE.fullmatch(line.strip())
        if not seen or line.strip().startswith("deny") != bool(seen[2]):
            raise Failure(_foreign(number, path, line))
        found.add(_network(seen[1], f"line {number} of {path}"))
    return frozenset(found)


def _foreign(number: int, path: str, line: str) -> str:
    return f"Line {number} of {path} is none of a block list: {printable(line.strip(), 80)!r}. The list needs a file of its own."


def _network(text: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Failure(f"{printable(text, 80)!r} is no address or network ({where}).") from None


def _kept(path: str) -> Kept | None:
    """The file as it is; None where there is none. Raises Failure."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST:
        raise Failure(f"{path} has more than {LARGEST} bytes.")
    return Kept(content, (about.st_atime_ns, about.st_mtime_ns))


def _replace(path: str, content: bytes, times: tuple[int, int] | None = None) -> None:
    """Put a whole new file in the place of the old one. Raises Failure, and then the old one is there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".irctl-", dir=os.path.dirname(path))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                _as_before(path, file.fileno())
                file.flush()
                os.fsync(file.fileno())
            if times:
                os.utime(name, ns=times)
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.") from None


def _as_before(path: str, descriptor: int) -> None:
    """Owner and mode of the file that is replaced; all may read a new one, because ModSecurity does as the user of the workers."""
    os.fchmod(descriptor, 0o644)
    with suppress(FileNotFoundError, PermissionError):
        about = os.stat(path)
        os.fchown(descriptor, about.st_uid, about.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(about.st_mode))
