"""What is in force and where it came from: flag, then variable, then configuration file, then default."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import vaults
from irctl.catalog.content import Content, contents
from irctl.errors import Invalid, invalid
from irctl.trusted_paths import require_beside_not_everybodys, require_not_everybodys, require_tree_not_everybodys

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
    "vault_password_file",
    "vault_ids",
)
BESIDE = ("group_vars", "host_vars")  # what Ansible reads beside an inventory's file
LISTS = ("content", "vault_ids")  # in the configuration file they may be lists


@dataclass(frozen=True)
class Setting:
    """One value and its origin, as `doctor` prints it. `problem` says why the value cannot be used; '' where it can."""

    value: str
    origin: str
    problem: str = ""


@dataclass(frozen=True)
class Settings:
    """The settings of one command. `content` is a list of folders joined by os.pathsep; '' means that a setting is not in force.

    `principal` is who the caller is in the allowed-signers file; `break_glass` is the time within which a run without its
    approvals must be countersigned. `vault_ids` are LABEL@PATH, joined as the folders of `content` are.
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
    vault_password_file: Setting
    vault_ids: Setting

    @property
    def home_path(self) -> Path:
        return Path(self.home.value).expanduser().absolute()

    @property
    def operator(self) -> str:
        """Who acts: the principal, or where none is set the system user."""
        import getpass

        return self.principal.value or getpass.getuser()

    @property
    def contents(self) -> list[Content]:
        return list(contents(Path(folder).expanduser() for folder in self.content.value.split(os.pathsep) if folder))

    def vaults(self) -> dict[str, str]:
        """The two settings of ansible-vault that are in force, with whole paths, for a command that runs elsewhere."""
        password_file, ids = self.vault_password_file.value, self.vault_ids.value
        paths = [str(path) for _label, path in vaults.identities(password_file, "")]
        labelled = [f"{label}@{path}" for label, path in vaults.identities("", ids)]
        found = {"vault_password_file": "".join(paths), "vault_ids": os.pathsep.join(labelled)}
        return {name: value for name, value in found.items() if value}

    def vault_identities(self) -> list[str]:
        """Each password of ansible-vault as LABEL@PATH, checked. Raises Invalid."""
        identities = vaults.identities(self.vault_password_file.value, self.vault_ids.value)
        for label, path in identities:
            if problem := vaults.unusable(path):
                raise invalid("vault_ids" if label != vaults.DEFAULT_LABEL else "vault_password_file", problem, path)
        return [f"{label}@{path}" for label, path in identities]

    def inventory_path(self) -> Path:
        """The inventory, checked: there, not empty, not writable by everybody. Raises Invalid."""
        path = Path(self.inventory.value).expanduser().absolute()
        option = "--inventory"
        try:
            about = path.stat()
        except OSError as error:
            hint = (
                ""
                if self.inventory.origin != "default"
                else "; `irctl init` writes a first one, and `irctl lab up` starts a lab that has its own"
            )
            raise invalid(option, f"{(error.strerror or 'cannot be read').lower()}{hint}", path) from None
        require_tree_not_everybodys(option, path)
        require_beside_not_everybodys(option, path, BESIDE)
        if not os.access(path, os.R_OK):
            raise invalid(option, "cannot be read", path)
        empty = not any(path.iterdir()) if paths.is_folder(path) else about.st_size == 0
        if empty:
            raise invalid(option, "is empty", path)
        return path


def load(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Put the settings together from flags, IRCTL_* variables and the configuration file. Raises Invalid for a wrong one."""
    settings = load_unchecked(given, environment)
    for key, setting in vars(settings).items():
        if setting.problem:
            where = f"{setting.origin}: {key}" if os.sep in setting.origin else setting.origin
            raise invalid(where, setting.problem, setting.value)
    return settings


def load_unchecked(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """The same where each wrong setting keeps its problem. Raises Invalid where the configuration file cannot be read."""
    config = path_in_force(environment)
    written = _read(Path(config.value), config.origin)

    def setting(key: str, default: str) -> Setting:
        variable = f"IRCTL_{key.upper()}"
        for value, origin in (
            (given.get(key), f"--{key}"),
            (environment.get(variable), variable),
            (written.get(key), config.value),
        ):
            if value not in (None, "", []):
                return _setting(key, value, origin)
        return Setting(default, "default")

    home = setting("home", _platform("data", environment))
    lab = str(Path(home.value).expanduser().absolute() / "lab" / "inventory")
    others = {key: setting(key, "") for key in KEYS[3:] if key != "severity_profile"}
    profile = setting("severity_profile", "linguamate")
    return Settings(home, setting("inventory", lab), setting("content", ""), config, severity_profile=profile, **others)


def _setting(key: str, value: object, origin: str) -> Setting:
    if key in LISTS and isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = os.pathsep.join(value)
    if not isinstance(value, str):
        return Setting(str(value), origin, _WANTED.get(key, "text is needed, in quotes where it is a number"))
    try:
        _CHECKS.get(key, _printable)(value)
    except ValueError as error:
        return Setting(value, origin, str(error))
    return Setting(value, origin)


def _printable(value: str) -> None:
    if "\0" in value or "\n" in value:
        raise ValueError("one line of text is needed")


def _duration(value: str) -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils import values

    values.seconds(value)


def _url(value: str) -> None:
    if not value.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")


_WANTED = {
    "break_glass": "a time with a unit is needed, such as 24h",
    "content": "a folder or a list of folders is needed",
    "vault_ids": "LABEL@PATH or a list of them is needed",
}
_CHECKS = {"break_glass": _duration, "timestamp_url": _url, "vault_ids": vaults.check_ids}  # raise ValueError


def path_in_force(environment: Mapping[str, str]) -> Setting:
    """Where the configuration file is looked for."""
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
    """What the configuration file says; nothing where there is none at the default place. Raises Invalid."""
    try:
        if not paths.exists(path):
            if origin != "default":
                raise invalid(origin, "no such file", path)
            return {}
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}") from None
    return _settings(path, origin)


def _settings(path: Path, origin: str) -> dict[str, Any]:
    import yaml

    try:
        require_not_everybodys(origin if origin != "default" else "configuration", path)
        text = path.read_text()
        written = yaml.safe_load(text) or {}
        twice = _twice(yaml.compose(text, yaml.SafeLoader))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(written, dict):
        raise Invalid(f"{path}: lines such as `inventory: /etc/irctl/inventory` are needed; known are {', '.join(KEYS)}")
    if unknown := sorted(map(str, set(written) - set(KEYS))):
        raise Invalid(f"{path}: unknown setting {printable(', '.join(unknown), 200)}; known are {', '.join(KEYS)}")
    if twice:
        raise Invalid(f"{path}: {twice} is there twice; which one is meant cannot be known")
    return dict(written)


def _twice(document: Any) -> str:
    """The first key of a YAML document that it has more than once; '' for none."""
    keys = [key.value for key, _value in getattr(document, "value", ())] if getattr(document, "tag", "").endswith(":map") else []
    return next((str(key) for number, key in enumerate(keys) if key in keys[:number]), "")
