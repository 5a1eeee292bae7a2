"""certbot, made to issue into a folder of irctl's own, which no server reads, so that what comes out can be looked at first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import openssl
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import KINDS, Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Pair
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SECONDS = 300  # for one order
TRIES = 3  # of an order that the CA turned away for its nonce alone
OPTIONS = ["--non-interactive", "--no-random-sleep-on-renew", "--no-directory-hooks", "--force-renewal"]
NO_HOOKS = ["--pre-hook=", "--post-hook=", "--deploy-hook=", "--renew-hook="]  # an empty one goes before one of any file
COMMON = ("/etc/letsencrypt/cli.ini", "~/.config/letsencrypt/cli.ini")  # certbot reads them whatever its --config-dir
NEEDS = 1 << 20  # bytes free, for keys, certificates and logs
CHECKPOINTS = ("temp_checkpoint", "in_progress", "IN_PROGRESS")  # below its work folder, while it changes a configuration
GRACE = 60.0  # seconds to put back a configuration that was changed for a challenge
HOOKS = ("pre_hook", "post_hook", "renew_hook", "deploy_hook")
NONE = "None"  # as certbot writes what is not set
OLD, NEW = 1, 2  # the versions in an order

_SETTING = re.compile(r"\s*([a-z0-9_]+)\s*=\s*(.*?)\s*")
_COMMON_HOOK = re.compile(r"\s*(?:--)?(pre|post|deploy|renew)[-_]hook\s*[=:\s]\s*(.*?)\s*")
_PLACES = ("archive_dir", *KINDS)
_DROPPED = ("config_dir", "work_dir", "logs_dir", "installer", "renew_hook", "deploy_hook")


class Order:
    """One order of a certificate, in a folder that is certbot's configuration for as long as it lasts."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._root = os.path.join(lineage.own_folder, "order")
        self._work = os.path.join(lineage.own_folder, "certbot")  # its checkpoints: what it needs to undo what it did
        self._inside = Lineage(self._root, lineage.name)

    def files(self) -> list[str]:
        """The files of the new pair, in the order of KINDS."""
        return [self._inside.path(kind, NEW) for kind in KINDS]

    def pair(self) -> Pair | None:
        """The pair that was issued and is waiting; None where there is none, or it is not whole."""
        if len(self._inside.versions().get(NEW, ())) < len(KINDS):
            return None
        try:
            return self._inside.pair(NEW)
        except Failure:
            return None

    def distrust(self, roots: str) -> str:
        return openssl.distrust(self._inside.path("cert", NEW), self._inside.path("chain", NEW), roots)

    def place(self, command: Sequence[str], bundle: str | None) -> None:
        """Have a certificate issued. Raises Failure with what certbot says."""
        try:
            self._prepare()
        except OSError as error:
            self.discard()
            raise Failure(f"{printable(self._root)} cannot be made: {error.strerror}. No certificate was asked for.") from None
        words = [*command, "renew", f"--cert-name={self._lineage.name}", *OPTIONS, *NO_HOOKS, *self._folders()]
        for remaining in reversed(range(TRIES)):
            reason = _run(words, bundle)
            if reason is None or not remaining or "badNonce" not in reason:
                break
        if reason is not None:
            self.recover(command, bundle)
            raise Failure(f"No new certificate: {printable(reason)}")
        if self.pair() is None:
            raise Failure("certbot ended well and left no whole certificate.")

    def interrupted(self) -> bool:
        """Whether certbot left a checkpoint: it was killed while a configuration was changed for a challenge."""
        return any(paths.exists(os.path.join(self._work, "backups", name)) for name in CHECKPOINTS)

    def recover(self, command: Sequence[str], bundle: str | None) -> None:
        """Let certbot put back what it changed before it was killed. Raises Failure where it does not, and keeps all."""
        if not self.interrupted():
            return
        reason = _run([*command, "plugins", "--init", "--non-interactive", *self._folders()], bundle)
        if self.interrupted():
            why = printable(reason or "it says nothing")
            raise Failure(f"certbot was killed during a challenge, and does not put back what it changed ({self._work}): {why}")

    def _folders(self) -> list[str]:
        return [f"--config-dir={self._root}", f"--work-dir={self._work}", f"--logs-dir={self._root}/logs"]

    def _prepare(self) -> None:
        """A configuration with this one lineage, whose only version is the one in use."""
        self.discard()
        for folder in ("archive", "live", "renewal"):
            os.makedirs(os.path.join(self._root, folder), mode=0o700)
        os.symlink(os.path.join(self._lineage.config, "accounts"), os.path.join(self._root, "accounts"))
        os.makedirs(self._inside.archive)
        os.makedirs(self._inside.live)
        now = self._lineage.current()
        for kind in KINDS:
            shutil.copy(self._lineage.path(kind, now), self._inside.path(kind, OLD))
            os.symlink(self._inside.path(kind, OLD), os.path.join(self._inside.live, f"{kind}.pem"))
        with open(self._inside.settings, "w", encoding="utf-8") as file:
            file.writelines(staged(_lines(self._lineage), self._inside))

    def discard(self) -> None:
        """Forget the order; of a certificate that was issued the public part stays, because the CA has counted it."""
        with suppress(OSError, Failure):
            if paths.exists(cert := self._inside.path("cert", NEW)):
                os.makedirs(folder := os.path.join(self._lineage.own_folder, "issued"), mode=0o700, exist_ok=True)
                os.rename(cert, os.path.join(folder, f"cert-{openssl.chain(cert)[0].sha256[:16]}.pem"))
        shutil.rmtree(self._root, ignore_errors=True)


def hooks(lineage: Lineage) -> tuple[list[str], list[str]]:
    """What stands in the way of a renewal without certbot's hooks, and which hooks will be left out; each a sentence."""
    settings = {seen[1]: seen[2] for line in _lines(lineage) if (seen := _SETTING.fullmatch(line.rstrip("\n")))}
    own = {name: settings.get(name, NONE).strip("'\"") for name in HOOKS}
    every = [("", name, command) for name, command in own.items() if command not in ("", NONE)]
    every += _common_hooks()
    every += _hooks_of_folders(lineage.config) if settings.get("directory_hooks") != "False" else []
    obstacles, left_out = [], []
    for file, name, command in every:
        if name in ("pre_hook", "post_hook"):
            obstacles.append(f"{file or 'The lineage'} has a {name} ({printable(command, 80)}), which irctl does not run.")
        else:
            left_out.append(f"{f'the {name} of {file}' if file else f'its {name}'} is not run: {printable(command, 80)}")
    return obstacles, left_out


def _hooks_of_folders(config: str) -> list[tuple[str, str, str]]:
    """The folder, the kind and the name of each program that certbot runs for every lineage."""
    hooks = []
    for kind in ("pre", "post", "deploy"):
        folder = os.path.join(config, "renewal-hooks", kind)
        with suppress(OSError):
            programs_in = [name for name in sorted(os.listdir(folder)) if os.access(os.path.join(folder, name), os.X_OK)]
            hooks += [(printable(folder), f"{kind}_hook", name) for name in programs_in if not name.endswith("~")]
    return hooks


def _common_hooks() -> list[tuple[str, str, str]]:
    """The file, the name and the command of each hook that is meant for every lineage of the host."""
    hooks = []
    for path in (one.replace("~", _home(), 1) for one in COMMON):
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            seen = [_COMMON_HOOK.fullmatch(line.rstrip("\n")) for line in file]
            hooks += [(printable(path), f"{one[1]}_hook", command) for one in seen if one and (command := one[2].strip("'\""))]
    return hooks


def staged(lines: Iterable[str], inside: Lineage) -> list[str]:
    """The lineage's settings for an order: other places, no hooks, and nobody to install what is issued. Pure."""
    places = {"archive_dir": inside.archive} | {kind: os.path.join(inside.live, f"{kind}.pem") for kind in KINDS}
    kept = []
    for line in lines:
        match = _SETTING.fullmatch(line.rstrip("\n"))
        name = match[1] if match else ""
        if name in _PLACES:
            kept.append(f"{name} = {places[name]}\n")
        elif name not in _DROPPED:
            kept.append(line)
    return kept


def _lines(lineage: Lineage) -> list[str]:
    try:
        with open(lineage.settings, encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except OSError as error:
        raise Failure(f"{printable(lineage.settings)} cannot be read: {error.strerror}.") from None


def disk_space_objection(lineage: Lineage) -> str:
    """Say that the disk is too full for an order; '' where it is not."""
    space = os.statvfs(lineage.config)
    free = space.f_bavail * space.f_frsize
    return (
        f"Only {free >> 10} KiB are free where {printable(lineage.config)} is; an order needs {NEEDS >> 10}."
        if free < NEEDS
        else ""
    )


def _home() -> str:
    return os.environ.get("HOME", "/root")


def _run(words: Sequence[str], bundle: str | None) -> str | None:
    """None where it ends well, else why not."""
    kept = {"PATH": f"{os.environ.get('PATH', '')}:{programs.PATH}", "LC_ALL": "C.UTF-8", "HOME": _home()}
    surroundings = {**kept, **({"REQUESTS_CA_BUNDLE": bundle} if bundle else {})}
    try:
        done = programs.run(words, "", SECONDS, surroundings, GRACE)
    except FileNotFoundError:
        return f"the host has no program {words[0]}."
    except subprocess.TimeoutExpired:
        return f"certbot did not end in {SECONDS} s."
    except OSError as error:
        return f"certbot cannot be started: {error.strerror}."
    return reason(f"{done.stdout}\n{done.stderr}") if done.returncode else None


def reason(printed: str) -> str:
    """The one line of what certbot prints that says why, with the details of a challenge that failed. Pure."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    chosen = next((line.partition("with error: ")[2] for line in lines if "with error: " in line), "")
    details = [line.partition("Detail:")[2].strip() for line in lines if line.startswith("Detail:")]
    return " ".join(filter(None, [chosen or (lines[-1] if lines else "certbot said nothing."), *details[:2]]))
