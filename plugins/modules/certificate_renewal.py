#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Renew one certificate of certbot's, and prove that nginx serves it; or put back the one from before."""

from __future__ import annotations

DOCUMENTATION = """
module: certificate_renewal
short_description: Renew one certificate of certbot's, and prove that nginx serves it
description:
  - Looks at the certificate that is stored and at the one that each server of nginx shows, and has certbot issue a new one where
    too few days are left. What is issued is looked at before nginx can see it, taken into use at once, and seen in a handshake
    with every server; on any failure the one from before is in use and served again.
  - With O(record) it puts back the certificate that a run found.
  - Own module, because C(community.crypto.acme_certificate) has an account, a key and a place of its own beside certbot's, and
    neither it nor C(certbot renew) looks at what is served.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  found:
    description: What V(state=listed) returned as RV(found). V(captured) and V(changed) need it.
    type: dict
  record:
    description: What a run found and set, to be put back. An action hands it over from the file that C(restores) names.
    type: dict
extends_documentation_fragment:
  - irctl.runbooks.renew_certificate
  - irctl.runbooks.renew_certificate.revert
  - irctl.runbooks.certificates
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: How long the certificate lasts, and whether nginx serves it
  irctl.runbooks.certificate_renewal:
    name: shop.example.com
"""
RETURN = """
found:
  description: The version in use, the number of the next one, and what is to be done.
  returned: when listed
  type: dict
summary:
  description: What is stored and what is served, without any key.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import certificates, renew_certificate
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import certbot, drill, renewal, x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.renewal import Renewal, Status
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names

SHARED = ("certificates_",)
OWN_NAMES = {"max": "limit"}
PARAMETERS: dict[str, Any] = {
    **renew_certificate.MAIN,
    **renew_certificate.REVERT,
    **certificates.ARGUMENTS,
}
REVERT_PARAMETERS = {**renew_certificate.REVERT, **certificates.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "found": {"type": "dict"},
    "record": {"type": "dict"},
    **PARAMETERS,
}

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    record, state = params["record"], params["state"]
    if record is None and params["found"] is None and state in ("captured", "changed"):
        raise ValueError("found: needed, as state=listed returned it")
    steps = _RENEW if record is None else _PUT_BACK
    try:
        return steps[state](Renewal(params if record is None else {**params, "name": record["on"].get("name")}), check_mode)
    except (Failure, ValueError) as error:
        if state != "listed":
            raise
        return {"changed": False, "refusals": [str(error)], "msg": "it cannot be told what is there"}


def _listed(work: Renewal, check_mode: bool) -> Result:
    status = work.status()
    due = work.due(status)
    waiting = due and work.waiting(status)
    return {
        "changed": False,
        "found": {
            "version": status.version,
            "next": work.lineage().following(),
            "due": due,
            "reload": bool(status.stale()) or work.interrupted(),
        },
        "summary": _summary(status),
        "refusals": work.refusals(status, due, waiting),
        "msg": " · ".join([_state(status), *_to_do(status, due, waiting)]) + (_left_out(work) if due else ""),
    }


def _left_out(work: Renewal) -> str:
    return "".join(f" · {hook}" for hook in certbot.hooks(work.lineage())[1])


def _state(status: Status) -> str:
    days, served = x509.days_left(status.leaf, status.now), len(status.served)
    ends = f"{days} days left" if days >= 0 else "expired"
    same = "served" if not status.stale() else "another one is served"
    return f"{ends} ({x509.date_text(status.leaf.ends)}), {same} by {served} server{'' if served == 1 else 's'}"


def _to_do(status: Status, due: bool, waiting: bool) -> list[str]:
    defects = x509.defects(status.pair)
    if due:
        return [*defects, "one was issued already, to take into use" if waiting else "to renew"]
    return [*defects, "nginx to reload"] if status.stale() else defects


def _summary(status: Status) -> Result:
    leaf = status.leaf
    stored = {"version": status.version, "serial": leaf.serial, "sha256": leaf.sha256, "names": sorted(leaf.names)}
    dates = {"ends": x509.date_text(leaf.ends), "days_left": x509.days_left(leaf, status.now)}
    served = {str(one): what.sha256 or what.why for one, what in status.served.items()}
    return {"stored": {**stored, **dates}, "served": served}


def _captured(work: Renewal, check_mode: bool) -> Result:
    status, listing = work.status(), work.params["found"]
    if status.version != listing["version"]:
        raise Failure("Somebody else has renewed it just now. This run changed nothing; look, and run it again.")
    before = drill.found(work.lineage(), status)
    document = renewal.record(work.name, before, listing["next"] if listing["due"] else status.version)
    public = renewal.public_text(work.lineage(), status.version)
    evidence = {renewal.REVERT: json.dumps(document, indent=1) + "\n", "certificate-before.pem": public}
    action = "renew" if listing["due"] else "reload" if listing["reload"] else ""
    affected = [_row(work, status, action)] if action else []
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": ", ".join(evidence)}


def _row(work: Renewal, status: Status, action: str) -> Result:
    """The certificate that is in use now, and what is done to it."""
    leaf = status.leaf
    names = {"names": " ".join(sorted(leaf.names)), "served_by": " ".join(map(str, status.served))}
    return {"certificate": work.name, "action": action, "serial": leaf.serial, "ends": x509.date_text(leaf.ends), **names}


def _changed(work: Renewal, check_mode: bool) -> Result:
    listing = work.params["found"]
    if check_mode or not (listing["due"] or listing["reload"]):
        action = "would be renewed" if listing["due"] else "nginx would be reloaded" if listing["reload"] else "long enough"
        left_out = _left_out(work) if listing["due"] else ""
        return {"changed": bool(listing["due"] or listing["reload"]), "msg": f"{action}{left_out}"}
    with work.exclusive():
        work.recover()
        status = work.status()
        if (status.version, work.lineage().following()) != (listing["version"], listing["next"]):
            raise Failure("Somebody else has renewed it just now. This run changed nothing; look, and run it again.")
        due = work.due(status)
        if against := work.refusals(status, due, due and work.waiting(status)):
            raise Failure(f"{' '.join(against)} Nothing was changed.")
        if due:
            work.renew(status, listing["next"])
            return {"changed": True, "msg": f"renewed, and nginx reloaded (version {listing['next']}){_left_out(work)}"}
        work.nginx.serve(status.site.listeners, status.leaf.sha256)
    return {"changed": True, "msg": "nginx reloaded"}


def _proved(work: Renewal, check_mode: bool) -> Result:
    """What is there now; Failure where it does not last, is not whole, or is not what is served, if this is in earnest."""
    status = work.status()
    result = {"changed": False, "summary": _summary(status), "in_short": _state(status)}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    reasons = x509.defects(status.pair)
    if x509.days_left(status.leaf, status.now) < work.params["days"]:
        reasons.append(f"Fewer than {work.params['days']} days are left: it ends on {x509.date_text(status.leaf.ends)}.")
    doubts = work.doubts(status)
    if not status.site.listeners and not doubts:
        reasons.append(f"nginx serves nothing from {work.lineage().live}.")
    reasons += [f"Another certificate than the stored one is served: {'; '.join(others)}."] if (others := status.stale()) else []
    if reasons:
        raise Failure(" ".join(reasons))
    if doubts:
        raise Undecided(f"Serial {status.leaf.serial} is served, and whether everywhere is not known. {' '.join(doubts)}")
    return {**result, "msg": f"serial {status.leaf.serial} is served"}


def _to_put_back(work: Renewal, check_mode: bool) -> Result:
    status = work.status()
    return {
        "changed": False,
        "summary": _summary(status),
        "refusals": renewal.objections_to_return(work, status),
        "msg": f"version {status.version} is in use, was {renewal.versions(work.params['record'], work.name)[0]}",
    }


def _captured_again(work: Renewal, check_mode: bool) -> Result:
    status = work.status()
    before = renewal.public_text(work.lineage(), status.version)
    affected = [] if _is_back(work, status) else [_row(work, status, "put back")]
    return {"changed": False, "evidence": {"certificate-before.pem": before}, "affected": affected, "msg": "kept"}


def _is_back(work: Renewal, status: Status) -> bool:
    old = renewal.versions(work.params["record"], work.name)[0]
    return status.version == old and not status.stale() and not work.later(old)  # a revert that was killed may have left some


def _put_back(work: Renewal, check_mode: bool) -> Result:
    old = renewal.versions(work.params["record"], work.name)[0]
    with work.exclusive(check_mode):
        status = work.status()
        if reasons := renewal.objections_to_return(work, status):
            raise Failure(f"{' '.join(reasons)} Nothing was changed.")
        if _is_back(work, status):
            return {"changed": False, "msg": "as it was found"}
        if not check_mode:
            work.put_back(status, old)
    return {"changed": True, "msg": f"version {old} {'would be' if check_mode else 'is'} in use again"}


def _proved_back(work: Renewal, check_mode: bool) -> Result:
    """What is there now; Failure where it is not what that run found, if this is in earnest."""
    status, (old, sha256, _rest) = work.status(), renewal.versions(work.params["record"], work.name)
    result = {"changed": False, "summary": _summary(status), "in_short": _state(status)}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    if (status.version, status.leaf.sha256) != (old, sha256):
        raise Failure(f"Version {status.version} is in use, not {old}.")
    if others := status.stale():
        raise Failure(f"Another certificate than the stored one is served: {'; '.join(others)}.")
    return {**result, "msg": f"serial {status.leaf.serial} is served"}


_RENEW = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}
_PUT_BACK = {"listed": _to_put_back, "captured": _captured_again, "changed": _put_back, "proved": _proved_back}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
