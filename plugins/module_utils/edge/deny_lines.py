"""The lines of a block list for nginx: deny lines, or bare addresses where a rule of ModSecurity reads them. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

HEADER = "# The block list of irctl: block-ip writes this file anew. Keep other lines elsewhere.\n"

_LINE = re.compile(r"(?:deny\s+)?([0-9A-Fa-f:./]+)\s*(;?)", re.ASCII)


def entries(text: str, path: str = "") -> frozenset[Network]:
    """What a file of ours lists. Raises Failure where a line is not one that irctl writes."""
    result = set()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            if line.strip() not in ("", HEADER.strip()):
                raise Failure(_foreign(number, path, line))
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or line.strip().startswith("deny") != bool(match[2]):
            raise Failure(_foreign(number, path, line))
        result.add(network(match[1], f"line {number} of {path}"))
    return frozenset(result)


def _foreign(number: int, path: str, line: str) -> str:
    return f"Line {number} of {path} is none of a block list: {printable(line.strip(), 80)!r}. The list needs a file of its own."


def network(text: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Failure(f"{printable(text, 80)!r} is no address or network ({where}).") from None


def as_text(networks_listed: Iterable[Network], bare: bool) -> str:
    """The whole file that lists these networks."""
    form = "{}\n" if bare else "deny {};\n"
    return "".join([HEADER, *(form.format(shown(one)) for one in networks.ordered(networks_listed))])
