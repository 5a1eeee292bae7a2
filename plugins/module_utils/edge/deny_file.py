"""A block list as a file that nginx includes: deny lines, or bare addresses where a rule of ModSecurity reads it.

The file is ours alone. What counts is what nginx serves by: a change is tested, and new workers have to have read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, paths, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import deny_lines, host_network, loaded, whole_file
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.whole_file import Content
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt, Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import (
    access,
    client_address,
    configuration,
    modsecurity,
    program,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.modsecurity import Rule
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.program import Settings
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.workers import Workers

SHOWN = 3  # places where the list does not hold


class Config(NamedTuple):
    """What nginx would start with, and the rules of ModSecurity that it names."""

    settings: Settings
    rules: list[Rule]


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
        self._read: Config | None = None

    def read(self) -> Blocked:
        place = {"backend": "nginx", "name": self._path}
        asked = networks.parse_all(self._params["addresses"])[0]
        entries, unsupported = frozenset[Network](), dict[int, str]()
        try:
            entries = self._entries()
            self._is_loaded()
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
        return not paths.exists(self._path) and any(f'"{path}" failed (2:' in str(error) for path in (self._given, self._path))

    def _takes_out(self) -> bool:
        return self._params["record"] is not None or self._params["state"] == "removed"

    def protected(self) -> Protected:
        own = host_network.protected()
        try:
            proxies = client_address.proxies(self._config().settings.directives)
        except Failure:
            return own  # and `read` says why, so that nothing is written
        return own | {
            one: "a proxy that nginx is told of" for text in proxies for one in host_network.named(text, "set_real_ip_from")
        }

    def shortcomings(self) -> list[str]:
        try:
            gaps = list(self._judged().gaps)
            gaps = gaps if len(gaps) <= SHOWN else [*gaps[:SHOWN], f"So in {len(gaps) - SHOWN} more places."]
            return gaps or ([] if self._is_loaded() else ["nginx was not seen to load the list as it is."])
        except Failure as error:
            return [str(error)]

    def is_stale(self) -> bool:
        try:
            return not self._is_loaded()
        except Failure:
            return False  # and `read` says why

    def doubts(self) -> list[Doubt]:
        try:
            return list(self._judged().doubts)
        except Failure:
            return []  # and `shortcomings` says why

    def prepare(self, check_mode: bool) -> None:
        """Only the file is made; where it is included is not decided here."""
        with programs.alone(os.path.dirname(self._path)):
            fresh = not check_mode and not paths.exists(self._path)
            if fresh:
                whole_file.replace(self._path, deny_lines.HEADER.encode())
        self._read = None
        try:
            if gaps := self._judged().gaps:
                raise Failure(" ".join(gaps[:SHOWN]))
        except Failure as error:
            if fresh:
                os.unlink(self._path)
            if not (check_mode and self._awaited(error)):
                raise

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        with programs.alone(os.path.dirname(self._path)):
            self._read = None
            workers, was_loaded = self._workers(), self._is_loaded()
            before = whole_file.read(self._path)
            wanted = (self._entries() | add) - remove
            whole_file.replace(self._path, deny_lines.as_text(wanted, self._is_bare(self._config())).encode())
            try:
                self._read = None
                state = self._state(self._config())
            except BaseException:
                self._put_back(before, was_loaded)
                raise
            try:
                workers.renew(self._reload)
                loaded.note(self._path, state)
            except BaseException:
                self._put_back(before, False)
                raise

    def _put_back(self, before: Content | None, is_loaded: bool) -> None:
        """The file as it was, and nginx with it, should it have taken the new one late; where it never did, the old is loaded."""
        self._read = None
        if before is None:
            os.unlink(self._path)
        else:
            whole_file.replace(self._path, before.content, before.times)
        with suppress(Failure):
            if is_loaded:
                loaded.note(self._path, self._state(self._config()))
            programs.output(self._reload)

    def _is_bare(self, config: Config) -> bool:
        """Whether a rule of ModSecurity reads the file. Raises Failure where nginx itself includes it too."""
        read = any(modsecurity.uses(rule, self._path) for rule in config.rules)
        if read and configuration.includes_list(config.settings.directives):
            raise Failure(f"{self._path} is included by nginx and read by ModSecurity; it can have the form of one only.")
        return read

    def _judged(self) -> Findings:
        """Why the list does not hold, as the configuration is, and what of that cannot be judged."""
        config = self._config()
        directives = config.settings.directives
        if self._is_bare(config):
            return modsecurity.judge(directives, config.rules, self._path) + client_address.judge(directives)
        if not configuration.includes_list(directives):
            return Findings(
                (f"The list blocks nothing: nginx does not include it. Put 'include {self._path};' into the http block.",)
            )
        listed = self._entries() | networks.parse_all(self._params["addresses"])[0]
        return access.judge(directives, listed) + client_address.judge(directives)

    def _entries(self) -> frozenset[Network]:
        content = whole_file.read(self._path)
        return deny_lines.entries(content.content.decode("utf-8", "replace"), self._path) if content else frozenset()

    def _is_loaded(self) -> bool:
        """Whether nginx was seen to load all as it is. Raises Failure where nginx does not run."""
        self._workers()
        config = self._config()
        return not paths.exists(self._path) or loaded.is_noted(self._path, self._state(config))

    def _state(self, config: Config) -> str:
        return loaded.state(config.settings.printed, [*config.settings.paths, *(rule.file for rule in config.rules), self._path])

    def _workers(self) -> Workers:
        return program.running(self._config().settings)

    def _config(self) -> Config:
        """As last read. Raises Failure where nginx would not start with it."""
        if self._read is None:
            settings = program.settings(self._test, self._given)
            self._read = Config(settings, modsecurity.rules(settings.directives))
        return self._read
