"""What is in force and where it came from: flag, then variable, then configuration file, then default."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irctl.catalog.content import Content, contents
from irctl.errors import Invalid, invalid

KEYS = (
    "inventory",
    "home",
    "content",
    "severity_profile",
    "principal",
    "signing_key",
    "allowed_signers",
    "break_glass",
    "timestamp_url",
)


@dataclass(frozen=True)
class Setting:
    """One value and its origin, as `doctor` prints it."""

    value: str
    origin: str


@dataclass(frozen=True)
class Settings:
    """The settings of one command. `content` is a list of folders joined by os.pathsep; '' means that a setting is not in force.

    `principal` is who the caller is in the allowed-signers file; `break_glass` is the time within which a run without its
    approvals must be countersigned.
    """

    home: Setting
    inventory: Setting
    content: Setting
    config: Setting
    severity_profile: Setting
    principal: Setting
    signing_key: Setting
    allowed_signers: Setting
    break_glass: Setting
    timestamp_url: Setting

    @property
    def home_path(self) -> Path:
        return Path(self.home.value).expanduser().absolute()

    @property
    def operator(self) -> str:
        """Who acts: the principal, or where none is set the system user."""
        return self.principal.value or getpass.getuser()

    @property
    def contents(self) -> list[Content]:
        return list(contents(Path(folder).expanduser() for folder in self.content.value.split(os.pathsep) if folder))

    def inventory_path(self) -> Path:
        """The inventory, checked: there, not empty, not writable by everybody. Raises Invalid."""
        path = Path(self.inventory.value).expanduser().absolute()
        option = "--inventory"
        try:
            about = path.stat()
        except OSError as error:
            hint = "" if self.inventory.origin != "default" else "; name one, or start the lab with `irctl lab up`"
            raise invalid(option, f"{(error.strerror or 'cannot be read').lower()}{hint}", path) from None
        for each in [path, *(path.rglob("*") if path.is_dir() else [])]:
            if not each.is_symlink() and each.stat().st_mode & stat.S_IWOTH:
                raise invalid(option, "writable by everybody, so it cannot be trusted; chmod o-w", each)
        if not os.access(path, os.R_OK):
            raise invalid(option, "cannot be read", path)
        empty = not any(path.iterdir()) if path.is_dir() else about.st_size == 0
        if empty:
            raise invalid(option, "is empty", path)
        return path


def load(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Put the settings together from flags, IRCTL_* variables and the configuration file. Raises Invalid."""
    config = _config_path(environment)
    written = _read(Path(config.value), config.origin)

    def setting(key: str, default: str) -> Setting:
        if given.get(key):
            return Setting(given[key], f"--{key}")
        if environment.get(f"IRCTL_{key.upper()}"):
            return Setting(environment[f"IRCTL_{key.upper()}"], f"IRCTL_{key.upper()}")
        if written.get(key) not in (None, "", []):
            value = written[key]
            return Setting(os.pathsep.join(value) if isinstance(value, list) else str(value), config.value)
        return Setting(default, "default")

    home = setting("home", _platform("data", environment))
    lab = str(Path(home.value).expanduser().absolute() / "lab" / "inventory")
    others = {key: setting(key, "") for key in KEYS[3:] if key != "severity_profile"}
    profile = setting("severity_profile", "linguamate")
    return Settings(home, setting("inventory", lab), setting("content", ""), config, severity_profile=profile, **others)


def _config_path(environment: Mapping[str, str]) -> Setting:
    if environment.get("IRCTL_CONFIG"):
        return Setting(environment["IRCTL_CONFIG"], "IRCTL_CONFIG")
    return Setting(str(Path(_platform("config", environment)) / "config.yml"), "default")


_XDG = {"data": ("XDG_DATA_HOME", ".local/share"), "config": ("XDG_CONFIG_HOME", ".config")}


def _platform(kind: str, environment: Mapping[str, str]) -> str:
    """Where the platform keeps a user's data or config of irctl."""
    if sys.platform == "linux":  # what platformdirs says there, without the time that it takes to import
        variable, folder = _XDG[kind]
        root = environment.get(variable, "").strip()
        return os.path.join(root or os.path.expanduser(f"~/{folder}"), "irctl")
    import platformdirs

    return platformdirs.user_data_dir("irctl") if kind == "data" else platformdirs.user_config_dir("irctl")


def _read(path: Path, origin: str) -> dict[str, Any]:
    if not path.exists():
        if origin != "default":
            raise invalid(origin, "no such file", path)
        return {}
    import yaml

    try:
        written = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    unknown = sorted(map(str, set(written) - set(KEYS))) if isinstance(written, dict) else ["(not a mapping)"]
    if unknown:
        raise Invalid(f"{path}: unknown setting {unknown[0]}; known are {', '.join(KEYS)}")
    return dict(written)
