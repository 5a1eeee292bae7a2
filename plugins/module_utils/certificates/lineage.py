"""A lineage of certbot: its numbered versions below archive/, and the four links below live/ that say which one is in use.

The links are changed all at once, by the exchange of two folders: whoever reads them, at whatever moment, finds one whole pair.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import openssl
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Certificate, Pair
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

KINDS = ("cert", "privkey", "chain", "fullchain")
_ARCHIVE = re.compile(r"""\s*archive_dir\s*=\s*("[^"]*"|'[^']*'|[^#]*?)\s*(?:#.*)?""")
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class Lineage:
    """The lineage `name` of a certbot whose configuration lies in `config`. Every method raises Failure."""

    def __init__(self, config: str, name: str) -> None:
        self.config, self.name = config, name
        self.live = os.path.join(config, "live", name)
        self.settings = os.path.join(config, "renewal", f"{name}.conf")
        self.archive = self._archive()
        self.own_folder = os.path.join(config, "irctl", name)  # what irctl keeps of it; certbot looks at none of this

    def _archive(self) -> str:
        """Where the versions lie: as certbot's settings say, or by the name."""
        with suppress(OSError), open(self.settings, encoding="utf-8", errors="replace") as file:
            for line in file:
                if match := _ARCHIVE.fullmatch(line.rstrip("\n")):
                    return os.path.join(self.config, match[1].strip("'\""))
        return os.path.join(self.config, "archive", self.name)

    def current(self) -> int:
        """The version in use. Raises Failure where there is none, or the links are of several."""
        numbers = {kind: self._number(kind) for kind in KINDS}
        if None in numbers.values():
            odd = ", ".join(one for one in KINDS if not numbers[one])
            raise Failure(f"{self.live} is not as certbot makes it: {odd} leads to no version in {printable(self.archive)}.")
        if len(set(numbers.values())) > 1:
            listed = ", ".join(f"{kind} {number}" for kind, number in numbers.items())
            raise Failure(f"The links below {self.live} are of several versions: {listed}.")
        return numbers["cert"] or 0

    def _number(self, kind: str) -> int | None:
        try:
            target = os.readlink(os.path.join(self.live, f"{kind}.pem"))
        except OSError:
            return None
        match = re.fullmatch(rf"{kind}([1-9][0-9]{{0,5}})\.pem", os.path.basename(target))
        return int(match[1]) if match and paths.exists(self.path(kind, int(match[1]))) else None

    def path(self, kind: str, number: int) -> str:
        return os.path.join(self.archive, f"{kind}{number}.pem")

    def pair(self, number: int) -> Pair:
        return openssl.pair(self.path("fullchain", number), self.path("privkey", number))

    def versions(self) -> dict[int, set[str]]:
        """The kinds of file that there are of each version."""
        kinds: dict[int, set[str]] = {}
        for name in _names(self.archive):
            if match := re.fullmatch(rf"({'|'.join(KINDS)})([1-9][0-9]{{0,5}})\.pem", name):
                kinds.setdefault(int(match[2]), set()).add(match[1])
        return kinds

    def following(self) -> int:
        """The number of the next version."""
        return max(self.versions(), default=0) + 1

    def issued(self) -> list[Certificate]:
        """Every certificate of this lineage of which there still is a file, those that were never served too."""
        paths = [os.path.join(self.archive, name) for name in _names(self.archive)]
        paths += [os.path.join(folder, name) for folder, _folders, names in os.walk(self.own_folder) for name in names]
        certificates: list[Certificate] = []
        for path in paths:
            if re.fullmatch(r"cert[^/]*\.pem", os.path.basename(path)):
                with suppress(Failure):  # one that is cut short was not issued, or is there whole elsewhere
                    certificates.append(openssl.chain(path)[0])
        return certificates

    def install(self, number: int, sources: Sequence[str]) -> None:
        """Keep four files, in the order of KINDS, as a version, which is not in use yet."""
        for kind, source in zip(KINDS, sources, strict=True):
            _copy(source, self.path(kind, number), self.path(kind, self.current()))
        _sync(self.archive)

    def remove(self, number: int) -> None:
        for kind in KINDS:
            with suppress(FileNotFoundError):
                os.unlink(self.path(kind, number))

    def put_aside(self, number: int) -> None:
        """Out of the archive, because certbot brings the newest version there is into use at its next run."""
        folder = self._aside(self._called(number))
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for kind in reversed(KINDS):  # cert goes last: its folder is called after it, should this be killed and done again
            with suppress(FileNotFoundError):
                os.rename(self.path(kind, number), os.path.join(folder, f"{kind}{number}.pem"))

    def drop_aside(self, sha256: str) -> None:
        """Remove a version that was put aside."""
        shutil.rmtree(self._aside(sha256[:16]), ignore_errors=True)

    def _aside(self, called: str) -> str:
        return os.path.join(self.own_folder, "aside", called)

    def _called(self, number: int) -> str:
        try:
            return openssl.chain(self.path("cert", number))[0].sha256[:16]
        except Failure:
            return f"part-{number}"  # of an installation that was killed

    def use(self, number: int) -> None:
        """Let all four links lead to this version, at once. The folder with those from before stays for `use_before`."""
        fresh = self._other
        try:
            os.makedirs(self.own_folder, mode=0o700, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(self.live, fresh, symlinks=True)
            for kind in KINDS:
                os.unlink(os.path.join(fresh, f"{kind}.pem"))
                os.symlink(self._target(kind, number), os.path.join(fresh, f"{kind}.pem"))
            owner = os.stat(self.live)
            os.chown(fresh, owner.st_uid, owner.st_gid)
            _sync(fresh)
            self.use_before()
        except (OSError, Failure) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise Failure(f"{self.live} cannot be changed at once: {getattr(error, 'strerror', error)} It is as it was.") from None

    def _target(self, kind: str, number: int) -> str:
        """What a link in live/ holds: a relative path, as certbot writes it."""
        archive = os.path.join(os.path.realpath(os.path.dirname(self.archive)), os.path.basename(self.archive))
        return os.path.join(os.path.relpath(archive, os.path.realpath(self.live)), f"{kind}{number}.pem")

    def use_before(self) -> None:
        """Let the links lead to where they led before the last `use`; that takes no room on the disk."""
        try:
            _exchange(self.live, self._other)
        except OSError as error:
            raise Failure(f"{self.live} cannot be exchanged for {self._other}: {error.strerror}.") from None
        _sync(os.path.dirname(self.live))

    def settle(self) -> None:
        """What `use` made is to stay, so the links from before are not needed any more."""
        shutil.rmtree(self._other, ignore_errors=True)

    @property
    def _other(self) -> str:
        return os.path.join(self.own_folder, "next")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold off certbot itself, and other runs of irctl. Raises Failure where certbot is at work."""
        path = os.path.join(self.config, ".certbot.lock")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Failure(f"{printable(path)} cannot be held: {error.strerror}. Nothing was changed.") from None
        with os.fdopen(descriptor, "w") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.stat(path)  # whoever held it removes it at the end
            except OSError:
                status = None
            if status is None or os.fstat(file.fileno()).st_ino != status.st_ino:
                raise Failure("certbot is at work on this host. Nothing was changed; run it again.")
            try:
                yield
            finally:
                os.unlink(path)


def names(config: str) -> list[str]:
    """The lineages that there are."""
    return sorted(one.removesuffix(".conf") for one in _names(os.path.join(config, "renewal")) if one.endswith(".conf"))


def find(config: str, name: str) -> Lineage:
    """The lineage of this name. Raises Failure where there is none, naming those that are there."""
    lineage = Lineage(config, name)
    if not paths.exists(lineage.settings):
        known = ", ".join(printable(one, 80) for one in names(config)) or "none"
        raise Failure(f"certbot has no certificate {name} in {printable(config)}; it has: {known}.")
    return lineage


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Failure(f"{printable(folder)} cannot be read: {error.strerror}.") from None


def _copy(source: str, target: str, like: str) -> None:
    """Copy a file whole or not at all, with the owner and the mode of another."""
    part = f"{target}.irctl"
    try:
        status = os.stat(like)
        with open(source, "rb") as read, open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as write:
            shutil.copyfileobj(read, write)
            os.fchown(write.fileno(), status.st_uid, status.st_gid)
            os.fchmod(write.fileno(), status.st_mode & 0o777)
            write.flush()
            os.fsync(write.fileno())
        os.rename(part, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError):
            raise Failure(f"{printable(target)} cannot be written: {error.strerror}.") from None
        raise


def _exchange(one: str, other: str) -> None:
    """Exchange two folders in one step. Raises OSError where the file system cannot."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        raise OSError(0, "this system has no renameat2")
    if exchange(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
