"""A block list as a file that nginx includes: deny lines, or bare addresses where a rule of ModSecurity reads it.

The file is ours alone. What counts is what nginx serves by: a change is tested, and new workers have to have read it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import deny_lines, host_network, whole_file
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.whole_file import Content
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration, modsecurity
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import workers as nginx_workers
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import Directive

TICK = 0.02  # seconds; as exactly as the kernel tells when a process started
SHOWN = 3  # places where the list does not hold


class Config(NamedTuple):
    """What nginx would start with: its directives, and the rules of ModSecurity that they name."""

    directives: tuple[Directive, ...]
    rules: list[tuple[str, str]]


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
        entries, unsupported = frozenset[Network](), dict[int, str]()
        try:
            entries = self._entries()
            if not self._served():
                entries = self._unsure(entries, asked)
        except Failure as error:
            if self._takes_out():
                raise
            if not (self._params["create_rule"] and self._awaited(error)):
                covered = networks.covering(entries)
                unsupported = {one.version: str(error) for one in networks.ordered(asked)[::-1] if not covered(one)}
                unsupported = dict(sorted(unsupported.items())[:1])  # said once
        return Blocked(entries, place, unsupported=unsupported)

    def _awaited(self, error: Failure) -> bool:
        """Whether all that nginx complains of is that the file is not there yet."""
        return not os.path.exists(self._path) and any(f'"{path}" failed (2:' in str(error) for path in (self._given, self._path))

    def _unsure(self, entries: frozenset[Network], asked: frozenset[Network]) -> frozenset[Network]:
        """The file was written and not loaded, so what is asked for has to be done again, whichever it is."""
        return entries | asked if self._takes_out() else entries - networks.overlaps(entries, dict.fromkeys(asked, "")).keys()

    def _takes_out(self) -> bool:
        return self._params["record"] is not None or self._params["state"] == "removed"

    def protected(self) -> Protected:
        networks_protected = host_network.protected()
        try:
            proxies = configuration.proxies(self._config().directives)
        except Failure:
            return networks_protected  # and `read` says why, so that nothing is written
        return networks_protected | {
            deny_lines.network(text, "set_real_ip_from"): "a proxy that nginx is told of" for text in proxies
        }

    def shortcomings(self) -> list[str]:
        try:
            reasons, served = self._gaps(self._config()), self._served()
        except Failure as error:
            return [str(error)]
        return reasons if reasons or served else ["nginx has not been reloaded since the list was written."]

    def prepare(self, check_mode: bool) -> None:
        """Only the file is made; where it is included is not decided here."""
        with programs.alone(os.path.dirname(self._path)):
            fresh = not check_mode and not os.path.exists(self._path)
            if fresh:
                whole_file.replace(self._path, deny_lines.HEADER.encode())
        self._looked = None
        try:
            if reasons := self._gaps(self._config()):
                raise Failure(" ".join(reasons))
        except Failure as error:
            if fresh:
                os.unlink(self._path)
            if not (check_mode and self._awaited(error)):
                raise

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        with programs.alone(os.path.dirname(self._path)):
            self._looked = None
            workers = self._workers()
            before = whole_file.read(self._path)
            wanted = (self._entries() | add) - remove
            whole_file.replace(self._path, deny_lines.as_text(wanted, self._bare(self._config())).encode())
            try:
                programs.output(self._test)
                workers.renew(self._reload)
            except BaseException:
                self._put_back(before)
                raise

    def _put_back(self, before: Content | None) -> None:
        """The file as it was, and nginx with it, should it have taken the new one late."""
        if before is None:
            os.unlink(self._path)
        else:
            whole_file.replace(self._path, before.content, before.times)
        with suppress(Failure):
            programs.output(self._reload)

    def _bare(self, config: Config) -> bool:
        """Whether a rule of ModSecurity reads the file. Raises Failure where nginx itself includes it too."""
        read = any(modsecurity.uses(line, folder, self._path) for line, folder in config.rules)
        if read and configuration.includes_list(config.directives):
            raise Failure(f"{self._path} is included by nginx and read by ModSecurity; it can have the form of one only.")
        return read

    def _gaps(self, config: Config) -> list[str]:
        """Why the list does not hold, as the configuration is."""
        reasons = self._holes(config)
        if sign := configuration.behind_a_proxy(config.directives):
            reasons.append(
                f"{sign} shows that proxies are before nginx, and no set_real_ip_from names them, so it sees only theirs."
            )
        return reasons

    def _holes(self, config: Config) -> list[str]:
        """Who gets past the list."""
        if self._bare(config):
            switched = {one.words[1] for one in configuration.named(config.directives, "modsecurity") if len(one.words) > 1}
            if switched != {"on"}:
                return ["ModSecurity is not on everywhere: 'modsecurity on' belongs into http, and no 'modsecurity off' anywhere."]
            return list(filter(None, [modsecurity.objection(config.rules, self._path)]))
        if not configuration.includes_list(config.directives):
            return [f"The list blocks nothing: nginx does not include it. Put 'include {self._path};' into the http block."]
        listed = self._entries() | networks.parse_all(self._params["addresses"])[0]
        reasons = configuration.gaps(config.directives, listed)
        return reasons if len(reasons) <= SHOWN else [*reasons[:SHOWN], f"So in {len(reasons) - SHOWN} more places."]

    def _entries(self) -> frozenset[Network]:
        kept = whole_file.read(self._path)
        return deny_lines.entries(kept.content.decode("utf-8", "replace"), self._path) if kept else frozenset()

    def _served(self) -> bool:
        """Whether nginx has loaded the file as it is. Raises Failure where nginx does not run."""
        kept, workers = whole_file.read(self._path), self._workers()
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
