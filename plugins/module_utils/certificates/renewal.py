"""The renewal of one lineage: what is stored and served, what is to be done about it, and the swap of one pair for another."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import findings
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import certbot, openssl, tls_servers, x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import lineage as lineages
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.sites import Listener, Site
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.tls_servers import Nginx, Served
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Certificate, Pair
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

REVERT = "revert.json"


class Status(NamedTuple):
    """A lineage as it is now."""

    version: int
    pair: Pair
    site: Site
    served: Mapping[Listener, Served]
    now: float

    @property
    def leaf(self) -> Certificate:
        return self.pair.leaf

    def stale(self) -> list[str]:
        """Where something else is served than is stored."""
        return tls_servers.unlike(self.served, self.leaf.sha256)


class Renewal:
    """One lineage of one host, and the nginx that serves it. Made from the module's arguments; making it does nothing yet."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.name = x509.check_name(params["name"])
        self.nginx = Nginx(params["nginx_test"], params["nginx_reload"])

    def lineage(self) -> Lineage:
        return lineages.find(self.params["config_dir"], self.name)

    def exclusive(self, check_mode: bool = False) -> AbstractContextManager[None]:
        """Hold off certbot and other runs; in check mode not even a lock is written."""
        return nullcontext() if check_mode else self.lineage().exclusive()

    def status(self) -> Status:
        lineage = self.lineage()
        version = lineage.current()
        pair = lineage.pair(version)
        site = self.nginx.site(lineage, pair.leaf)
        return Status(version, pair, site, tls_servers.served(site.listeners), time.time())

    def doubts(self, status: Status) -> list[str]:
        """What cannot be judged of who serves the certificate, and nobody has vouched for; sentences."""
        return findings.sentences(findings.unsettled(status.site.doubts, self.params.get("vouched") or []), "certificates_vouched")

    def due(self, status: Status) -> bool:
        return bool(x509.days_left(status.leaf, status.now) < self.params["days"] or x509.defects(status.pair))

    def interrupted(self) -> bool:
        """Whether certbot was killed while nginx's configuration was changed for a challenge."""
        return certbot.Order(self.lineage()).interrupted()

    def recover(self) -> None:
        """Let certbot put back what it changed before it was killed."""
        certbot.Order(self.lineage()).recover(self.params["certbot"], self.params["ca_bundle"])

    def waiting(self, status: Status) -> bool:
        """Whether a good pair was issued already that was not taken into use, so that none has to be asked for."""
        order = certbot.Order(self.lineage())
        pair = order.pair()
        return pair is not None and not self._objections(order, pair, status)

    def _objections(self, order: certbot.Order, pair: Pair, status: Status) -> list[str]:
        reasons = x509.objections(pair, status.leaf.names | status.site.names, status.leaf, time.time())
        return [*reasons, *filter(None, [order.distrust(self.params["roots"])])]

    def refusals(self, status: Status, due: bool, waiting: bool) -> list[str]:
        """Why this must not be done, each a sentence."""
        reasons = list(status.site.obstacles)
        if not status.site.listeners:
            reasons += self.doubts(status) or [
                f"nginx serves nothing from {self.lineage().live}, so a renewal would have no effect."
            ]
        reasons += [f"{one} gives no handshake: {what.why}." for one, what in status.served.items() if what.why]
        if missing := x509.uncovered(status.site.names, status.leaf.names):
            names = x509.name_list(missing)
            reasons.append(f"nginx serves {names} with this certificate, which is not for it; a new one would not be.")
        return reasons + (self._against_order(status) if due and not waiting else [])

    def _against_order(self, status: Status) -> list[str]:
        lineage, days = self.lineage(), self.params["days"]
        lasts = math.ceil((status.leaf.ends - status.leaf.begins) / x509.DAY)
        reasons = [f"A certificate of this lineage lasts {lasts} days, so with --days {days} each run would renew it."] * (
            lasts <= days
        )
        issued = x509.recent(lineage.issued(), status.now)
        reasons += [x509.beyond_budget(issued, self.params["limit"]), certbot.disk_space_objection(lineage)]
        if not os.access(self.params["roots"], os.R_OK):
            reasons.append(f"The new chain could not be checked: {printable(self.params['roots'])} cannot be read.")
        return [one for one in [*certbot.hooks(lineage)[0], *reasons] if one]

    def renew(self, status: Status, number: int) -> None:
        """Issue a pair, or take the one that waits, look at it, and swap it in as version `number`. Raises Failure."""
        lineage = self.lineage()
        order = certbot.Order(lineage)
        order.recover(self.params["certbot"], self.params["ca_bundle"])
        if not self.waiting(status):
            order.place(self.params["certbot"], self.params["ca_bundle"])
        pair = order.pair()
        if pair is None or (reasons := self._objections(order, pair, status)):
            order.discard()
            raise Failure(
                f"The new certificate is not served: {' '.join(reasons if pair else ['it is not whole.'])} Nothing was changed."
            )
        try:
            lineage.install(number, order.files())
            self.swap(lineage, number, status)
        except BaseException:
            lineage.remove(number)
            raise
        order.discard()

    def swap(self, lineage: Lineage, number: int, status: Status) -> None:
        """Take a version into use and see it served; on any failure the one before is back in use, and served."""
        wanted = lineage.pair(number).leaf.sha256
        lineage.use(number)
        try:
            self.nginx.serve(status.site.listeners, wanted)
        except BaseException as error:
            lineage.use_before()
            outcome = self._back(status)
            if isinstance(error, Failure):
                raise Failure(f"{error} {outcome}") from None
            raise
        lineage.settle()

    def put_back(self, status: Status, old: int) -> None:
        """Take an earlier version into use. The later ones leave the archive, or certbot would bring them back at its next run."""
        lineage = self.lineage()
        if status.version != old:
            self.swap(lineage, old, status)
        elif status.stale():
            self.nginx.serve(status.site.listeners, status.leaf.sha256)
        for number in self.later(old):
            lineage.put_aside(number)

    def later(self, old: int) -> list[int]:
        """The versions in the archive that are newer than this one."""
        return sorted(number for number in self.lineage().versions() if number > old)

    def _back(self, status: Status) -> str:
        """Let nginx serve what is in use again, and say how that went."""
        why = ""
        try:  # even where it still does: a reload that comes late must not bring the other one after all
            self.nginx.serve(status.site.listeners, status.leaf.sha256)
        except Failure as error:
            why = str(error)
        if others := tls_servers.unlike(tls_servers.served(status.site.listeners), status.leaf.sha256):
            return f"The certificate from before is in use again, but not served: {'; '.join(others)}. {why}"
        return "The certificate from before is in use again, and served."


def record(name: str, before: tuple[int, str], number: int) -> dict[str, Any]:
    """What a revert needs: the version before with its sha256, and the one that this run sets."""
    captured = {"version": before[0], "sha256": before[1]}
    return {"captured": {name: captured}, "sets": {name: {"version": number}}, "on": {"name": name}}


def versions(record: Mapping[str, Any], name: str) -> tuple[int, str, int]:
    """Of a record: the version before, its sha256, and the version that the run set. Raises Failure where it is no such record."""
    try:
        before, after = record["captured"][name], record["sets"][name]["version"]
        old, sha256 = before["version"], before["sha256"]
    except (KeyError, TypeError):
        raise Failure("What that run captured is not of this certificate.") from None
    if not (isinstance(old, int) and isinstance(after, int) and isinstance(sha256, str)):
        raise Failure("What that run captured is no record of a certificate.")
    return old, sha256, after


def objections_to_return(work: Renewal, status: Status) -> list[str]:
    """Why what a run found must not be put back, each a sentence."""
    lineage, (old, sha256, after) = work.lineage(), versions(work.params["record"], work.name)
    if len(lineage.versions().get(old, ())) < len(lineages.KINDS) or lineage.pair(old).leaf.sha256 != sha256:
        return [f"The certificate that that run found, version {old}, is not there any more."]
    earlier = lineage.pair(old).leaf
    reasons = []
    if status.version not in (old, after) and not work.params["force"]:
        reasons.append(
            f"Version {status.version} is in use, which that run did not set. Add --force to put back version {old} all the same."
        )
    if earlier.ends <= status.now and status.version != old:
        reasons.append(f"The certificate that that run found ended on {x509.date_text(earlier.ends)}, so it is of no use.")
    return reasons


def public_text(lineage: Lineage, version: int) -> str:
    """The public part of a version: its certificate and chain."""
    return openssl.read(lineage.path("fullchain", version))
