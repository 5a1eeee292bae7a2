#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that renew-certificate mends, an expired certificate, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: scratch_certificate
short_description: Let nginx serve an expired certificate, or the one from before again
description:
  - Signs a certificate for the names and the key of the one in use, which ended yesterday, and lets nginx serve it. For drills,
    demonstrations and tests only.
  - Own module, because C(community.crypto.x509_certificate) writes a file of its own and knows neither certbot's versions nor
    whether nginx serves it.
options:
  state:
    description: Whether the expired certificate is to be there.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [irctl.runbooks.renew_certificate.fault, irctl.runbooks.certificates]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: An expired certificate
  irctl.runbooks.scratch_certificate:
    name: shop.example.com
"""
RETURN = """
summary:
  description: The certificate, and the version of it that the drill made.
  returned: always
  type: dict
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import certificates, renew_certificate
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import drill
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.renewal import Renewal
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names

SHARED = ("certificates_",)
PARAMETERS: dict[str, Any] = {
    **renew_certificate.FAULT,
    **certificates.ARGUMENTS,
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **PARAMETERS,
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make the fault, or take it away; in check mode only say whether there is one. Raises Failure or ValueError."""
    params = own_names(params, SHARED, {})
    work = Renewal(params)
    if params["state"] == "absent":
        changed = bool(drill.made(work.lineage())) if check_mode else drill.take_away(work)
        return _result(work, changed, "the drill's certificate is gone" if changed else "nothing of a drill is there")
    served = drill.in_use(work.lineage())
    if not check_mode:
        drill.make(work)
    would = "would be" if check_mode else "is"
    return _result(work, not served, f"an expired certificate {would} served")


def _result(work: Renewal, changed: bool, message: str) -> dict[str, Any]:
    made = drill.made(work.lineage())
    return {"changed": changed, "summary": {"certificate": work.name, "version": made and made.version}, "msg": message}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
