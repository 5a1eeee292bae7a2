"""Values that a person types, and how values are told to one. Pure; each parser raises ValueError with the why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._:%,\[\]-]{1,1000}", re.ASCII)
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and marks that show nothing
_SELECTORS = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))  # nor do these, which choose how the letter before looks


def seconds(text: object) -> int:
    """Parse a duration such as '10s', '10m', '10h' or '2d' into seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found:
        return int(found[1]) * _UNITS[found[2]]
    if re.fullmatch(r"[1-9][0-9]{0,8}", str(text), re.ASCII):
        raise ValueError(f"a duration needs a unit, such as {text}s, {text}m or {text}h")
    raise ValueError("a duration is a whole number above zero and a unit, such as 10s, 10m or 10h")


def duration(total: float) -> str:
    """Say seconds in the largest unit that keeps them readable: 45s, 10m, 90m, 3h, 2d."""
    units = (("d", 86400), ("h", 3600), ("m", 60))
    whole = [(unit, size) for unit, size in units if total >= size and total % size == 0]
    for unit, size in whole or units:
        if total >= size:
            return f"{total / size:.0f}{unit}"
    return f"{total:.0f}s"


def whole(text: object) -> int:
    """Parse a whole number in plain decimal digits; 010, 1_000, 1.5 and -1 are refused. Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        return int(text)
    raise ValueError("expected a whole number in plain digits, such as 100")


def text(value: object) -> str:
    """Check that a value is text. Raises ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("text is needed")
    return value


def name(text: object, most: int = 63) -> str:
    """Check a name of a thing on a server: 1 to 63 bytes, as PostgreSQL has it, no control characters. Raises ValueError."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a name must not be empty")
    if not all(map(shows, text)):
        raise ValueError("a name must not contain control characters, or others that do not show")
    if len(text.encode("utf-8", "surrogateescape")) > most:
        raise ValueError(f"a name has at most {most} bytes")
    return text


def database_name(text: object) -> str:
    """Check the name of a database or a role. libpq takes an address or KEY=VALUE for a connection string. Raises ValueError."""
    if "=" in name(text) or "://" in name(text):
        raise ValueError("a plain name is needed, not an address and no KEY=VALUE, in which a password may stand")
    return name(text)


def line(text: object) -> str:
    """Check one line of text. Raises ValueError."""
    return name(text, 4096)


def file(text: object) -> str:
    """Check the name of a file or folder, which may begin with ~. Raises ValueError."""
    if "://" in line(text):
        raise ValueError("the path of a file or folder is needed, not an address")
    return line(text)


def unit(text: object) -> str:
    """Check the name of a unit of systemd, or a pattern of such names. Raises ValueError."""
    return name(text, 255)


def path(text: object) -> str:
    """Check the name of a file or folder on a host: whole, from the root on, and without '..'. Raises ValueError."""
    if not isinstance(text, str) or not text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise ValueError("a whole path without '..' is needed, such as /var/log")
    return text


def folder(text: object) -> str:
    """Check the name of a folder whose content is meant, which is never all that there is. Raises ValueError."""
    if not path(text).strip("/."):
        raise ValueError("the whole path of a folder is needed, and not '/'")
    return path(text)


def host(text: object) -> str:
    """Check where a server is: a name, an address, several of them, or the folder of a socket; no URL. Raises ValueError."""
    if isinstance(text, str) and (_HOST.fullmatch(text) or (text.startswith("/") and path(text))):
        return text
    raise ValueError("a host name, an address or the folder of a socket is needed, and no more")


def endpoint(text: object) -> str:
    """Check the address of a service, in which no user and no password may stand. Raises ValueError."""
    from urllib.parse import urlsplit

    parts = urlsplit(text) if isinstance(text, str) and text.isprintable() else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("an address such as https://store.example.com is needed, without user and password")
    return str(text)


def sha256(text: object) -> str:
    """Check a sha256 in hex. Raises ValueError."""
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise ValueError("a sha256 is needed: 64 hex digits")
    return text


def any_of(patterns: Iterable[str]) -> str:
    """Join shell patterns such as 'pgbouncer*' into one anchored regular expression that matches any; '' for none."""
    return "|".join(f"^{_simple(pattern)}$" for pattern in patterns)


def _simple(pattern: str) -> str:
    pieces = re.split(r"([*?])", pattern)
    return "".join({"*": ".*", "?": "."}.get(piece) or re.escape(piece) for piece in pieces)


def printable(text: object, most: int = 400) -> str:
    """Make text from outside inert for terminals, pages and logs, and cut it at `most`.

    What does not show, changes the direction of writing or controls a terminal becomes '?'.
    """
    clean = shown(str(text))
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def shown(text: str, but: str = "") -> str:
    """The text in which every character that does not show is '?', but for those that are named."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter in but or shows(letter) else "?" for letter in text)


def shows(letter: str) -> bool:
    """Whether a character can be seen, or is the plain blank."""
    if letter.isascii():
        return letter.isprintable()
    selects = any(first <= ord(letter) <= last for first, last in _SELECTORS)
    return (letter.isprintable() or letter == "\xa0") and letter not in _BLANK and not selects


def escaped(text: object, most: int = 400) -> str:
    """Text from outside in ASCII alone, cut at `most`: everything else stands as its escape, such as \\xe9 or \\u200b."""
    return str(text).encode("unicode_escape").decode("ascii")[:most]


def counted(number: int, noun: str, plural: str = "") -> str:
    """'1 file', '12 files', '2 addresses'. `plural` is for a noun that takes more than an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def sized(number: int) -> str:
    """Bytes in the largest unit that keeps them readable: 512 B, 1.5 KiB, 3.0 GiB."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def short_list(names: Sequence[str], most: int = 5) -> str:
    """The names with commas between; of a long list the first, and how many there are beside them: 'a, b, c, d, e +25 more'."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" +{rest} more" if rest > 0 else "")


def first_few(texts: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """Name some, and count the rest: 'a, b and 3 more'."""
    rest = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + rest
