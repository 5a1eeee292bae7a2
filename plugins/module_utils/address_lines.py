"""Lines of address lists as feeds write them: comments, ranges, and addresses that were made unclickable. Pure."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.irctl.runbooks.plugins.module_utils import networks

_COMMENT = re.compile(r"(^|\s)(#|;|//).*", re.DOTALL)  # 1.2.3.4;1.2.3.5 is no comment, and is refused
_DEFANGED = re.compile(r"\[(\.|dot)\]|\((\.|dot)\)|\{\.\}", re.IGNORECASE)
_RANGE = re.compile(r"([0-9A-Fa-f:.]+)\s*-\s*([0-9A-Fa-f:.]+)", re.ASCII)


def entries(line: str) -> list[str]:
    """The addresses and networks that a line names, [] for none: '198[.]51[.]100[.]0 - 198[.]51[.]100[.]7  # scanner' is one.

    What is neither blank nor a range is returned as it stands, to be checked like every other address. Raises ValueError for a
    range that is none.
    """
    text = _DEFANGED.sub(".", _COMMENT.sub("", line)).replace("[:]", ":").replace("[/]", "/").strip()
    ends = _RANGE.fullmatch(text)
    return _networks_between(ends[1], ends[2]) if ends else [text] if text else []


def _networks_between(first: str, last: str) -> list[str]:
    ends = [networks.parse(end).network_address for end in (first, last)]
    if ends[0].version != ends[1].version:
        raise ValueError("a range needs two addresses of the same version, such as 198.51.100.8-198.51.100.15")
    if int(ends[0]) > int(ends[1]):
        raise ValueError("the range ends before it begins")
    return [networks.shown(one) for one in ipaddress.summarize_address_range(ends[0], ends[1])]
