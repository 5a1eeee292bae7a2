"""Servers that irctl starts itself, on loopback only, to try everything at once: PostgreSQL, Valkey, and AWS's stand-in."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import OURS
from irctl.lab import aws as lab_aws
from irctl.lab import valkey as lab_valkey
from irctl.lab.aws import Aws
from irctl.lab.postgres import Postgres, programs
from irctl.lab.valkey import Valkey
from irctl.record.folders import make_folder, private


@dataclass(frozen=True)
class Lab:
    """The lab of one home: its servers and the inventory that leads to them."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "lab"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    @property
    def postgres(self) -> Postgres:
        return Postgres(self.folder / "postgres")

    @property
    def aws(self) -> Aws:
        return Aws(self.folder / "aws")

    @property
    def valkey(self) -> Valkey:
        return Valkey(self.folder / "valkey")

    def up(self) -> bool:
        """Start what is not running, all at once; return whether anything was started. Raises IrctlError.

        Of a lab that cannot be made nothing is left.
        """
        with self._alone():
            was = paths.exists(self.inventory)
            try:
                return self._up()
            except BaseException:
                if not was:
                    self._remove()
                raise

    def _up(self) -> bool:
        database, aws = not self.postgres.running(), lab_aws.installed() and not self.aws.running()
        cache = lab_valkey.installed() and not self.valkey.running()
        if not (database or aws or cache):
            return False
        make_folder(self.folder)
        self.aws.prepare()
        if aws:
            self.aws.start()
        if cache:
            self.valkey.start()
        if database:
            self.postgres.start()
        try:
            if aws:
                self.aws.wait()
            if cache:
                self.valkey.wait()
        finally:
            self._write_inventory()
        return True

    def down(self) -> bool:
        """Stop and remove everything; return whether there was anything."""
        was = paths.exists(self.folder)
        with self._alone() if was else nullcontext():
            self._remove()
        return was

    def _remove(self) -> None:
        self.aws.stop()
        self.valkey.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other command makes or removes this lab."""
        path = self.home / "locks" / "lab"
        make_folder(path.parent)
        with open(path, "w", opener=private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write_inventory(self) -> None:
        shutil.copytree(OURS.root / "inventories" / "lab", self.inventory, dirs_exist_ok=True)
        variables = self.inventory / "host_vars"
        variables.mkdir(mode=0o700, exist_ok=True)
        evidence, logs = self.folder / "evidence", self.folder / "logs"
        for folder in (evidence, logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        here = {
            "postgres_port": self.postgres.port,
            "postgres_passfile": self.postgres.passfile,
            "db_snapshot_programs": programs() / "bin",
            "redis_port": self.valkey.port,
            "redis_password_file": self.valkey.password_file,
            "aws_endpoint": self.aws.url,
            "aws_credentials_file": self.aws.credentials,
            "aws_config_file": self.aws.config,
            "archive_evidence_tree": evidence,
            "purge_evidence_tree": evidence,
            "capture_evidence_root": f"\n- {logs}",  # /var/log is root's
        }
        (variables / "lab.yml").write_text("---\n" + "".join(f"{name}: {value}\n" for name, value in here.items()))
        for path in [self.inventory, *self.inventory.rglob("*")]:  # copies have the modes of what is installed
            path.chmod(0o700 if paths.is_folder(path) else 0o600)
