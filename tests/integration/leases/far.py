"""Databases on a test host that leases keep frozen, irctl here, and what the host keeps of leases."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import Done, Irctl
from tests.servers.hosts import irctl_for
from tools.test_hosts.sets import Host, Set

LEASES = "/var/lib/irctl/leases"
CANARY = "canary-4711-of-the-inventory"
GLASS = "these are tests of leases"
ATTACKER = "198.51.100.7"
FIVE = [f"five{number}" for number in range(5)]  # databases beside `shop`
DATABASE = {"ansible_become": True, "ansible_become_user": "postgres", "ansible_become_password": CANARY}
EDGE = {
    "ansible_become": True,
    "block_ip_backend": "nginx",
    "edge_nginx_include": "/etc/nginx/conf.d/blocked.conf",
    "edge_protected": ["192.0.2.0/24"],
}
STORED = "SELECT d.datname, setconfig[1] FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setrole = 0"
READ_ONLY = "default_transaction_read_only="
WITHIN = 15 + 20  # seconds after its end: how often the host looks, and how long a machine takes to put things back


def ask(host: Host, statement: str, database: str = "postgres") -> str:
    return host.run("psql", "-X", "-q", "-A", "-t", "-d", database, "-c", statement, user="postgres").stdout.strip()


def stored(host: Host) -> dict[str, str]:
    """For each database that has one, the setting of its own: `default_transaction_read_only=on`, for example."""
    lines = ask(host, STORED).splitlines()
    return {database: setting for database, _, setting in (line.partition("|") for line in lines)}


@dataclass
class Far:
    """One database on h1, which irctl freezes from here."""

    set: Set
    irctl: Irctl
    database: str = "shop"

    @property
    def host(self) -> Host:
        return self.set["h1"]

    @property
    def stored(self) -> str:
        """The database's own setting."""
        return stored(self.host).get(self.database, "")

    @property
    def frozen(self) -> bool:
        return self.stored == f"{READ_ONLY}on"

    @property
    def takes_writes(self) -> bool:
        """Try it, in a session of its own."""
        words = ("psql", "-X", "-q", "-d", self.database, "-c", "INSERT INTO orders VALUES (now())")
        return self.host.run(*words, user="postgres", check=False).returncode == 0

    @property
    def kept(self) -> list[str]:
        """The names of all leases that the host has anything of."""
        return self.host.run("sh", "-c", f"ls {LEASES} 2>/dev/null || true").stdout.split()

    @property
    def armed(self) -> list[str]:
        """The names of the database's leases."""
        paths = self.host.run("sh", "-c", f"grep -ls '\"{self.database}\"' {LEASES}/*/lease.json || true").stdout.split()
        return [Path(path).parent.name for path in paths]

    @property
    def units(self) -> list[str]:
        return self.host.run("sh", "-c", "ls /etc/systemd/system | grep irctl-lease || true").stdout.split()

    @property
    def nothing_left(self) -> bool:
        """Of any lease."""
        listed = self.host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "irctl-lease*", check=False).stdout
        return not (self.kept or self.units or "timer" in listed)

    @property
    def order(self) -> tuple[str, ...]:
        return ("remediate", "db-freeze-writes", "--host", "h1", "--database", self.database, "--break-glass", GLASS)

    def freeze(self, *words: str) -> Done:
        return self.irctl(*self.order, "--json", *words)

    def leased(self, length: str = "30m") -> str:
        """Freeze it for so long; the run."""
        done = self.freeze("--for", length)
        assert (done.code, self.frozen, len(self.armed)) == (0, True, 1), done
        return str(done.json["run"])

    def extend(self, run: str, length: str) -> Done:
        """Have somebody else approve the same for so long, and extend it. Breaking the glass allowed the first time only."""
        asked = self.irctl("request", "db-freeze-writes", "--host", "h1", "--database", self.database, "--for", length, "--json")
        assert asked.code == 0, asked
        ben = {"IRCTL_PRINCIPAL": "ben@example.com", "IRCTL_SIGNING_KEY": str(self.irctl.home.parent / "ben")}
        approved = self.irctl("approve", asked.json["id"], "--as", "incident-commander", "--yes", **ben)
        assert approved.code == 0, approved
        return self.irctl("leases", "extend", run, "--for", length)

    def lease(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.read(f"{LEASES}/{self.armed[0]}/lease.json"))
        return found

    def rewrite(self, seen: float = 0.0, **armed: Any) -> dict[str, Any]:
        """Change what the host has kept of the moment when it was armed; what is a number is added to it. `seen` is for how many
        seconds the boot that it names was seen to go on.
        """
        lease = self.lease()
        for key, value in armed.items():
            lease["armed"][key] = value if isinstance(value, str) else lease["armed"][key] + value
        if seen:
            lease["uptimes"] = {armed["boot"]: lease["armed"]["uptime"] + seen}
        self.write(lease)
        return lease

    def write(self, lease: dict[str, Any]) -> None:
        """Not while the host looks: it writes this file too."""
        folder = f"{LEASES}/{self.armed[0]}"
        self.host.run("flock", folder, "tee", f"{folder}/lease.json", input=json.dumps(lease))

    def look(self, name: str = "") -> int:
        """What the timer does, now; of the lease of this name, which may be gone by then."""
        return self.host.run("systemctl", "start", f"irctl-lease-{name or self.armed[0]}.service", check=False).returncode

    def keep(self) -> None:
        """Put aside what the host has of the lease, for `again`."""
        copies = f"cp -a {LEASES} /root/kept/leases && cp -a /etc/systemd/system/irctl-lease-* /root/kept/units"
        self.host.run("sh", "-c", f"rm -rf /root/kept && mkdir -p /root/kept/units && {copies}")

    def again(self) -> None:
        """As if the same change were made once more, with the same end."""
        self.host.run("sh", "-c", f"cp -a /root/kept/leases/. {LEASES} && cp -a /root/kept/units/. /etc/systemd/system")
        self.host.run("systemctl", "daemon-reload")
        self.host.run("systemctl", "enable", "--now", f"irctl-lease-{self.armed[0]}.timer")
        self.set_read_only("on")
        assert (self.frozen, self.takes_writes) == (True, False)

    def set_read_only(self, value: str) -> None:
        """As anybody may, without irctl."""
        ask(self.host, f"ALTER DATABASE {self.database} SET default_transaction_read_only = '{value}'")

    def journal(self, *words: str) -> str:
        return self.host.run("journalctl", "--no-pager", "--output=cat", "-t", "irctl-lease", *words).stdout

    def on(self) -> list[dict[str, Any]]:
        """The leases as the controller has them."""
        found: list[dict[str, Any]] = self.irctl("leases", "--json").json["leases"]
        return found

    def clean(self) -> None:
        """The host as it was before any lease."""
        for name in self.kept:
            self.host.run("systemctl", "disable", "--now", f"irctl-lease-{name}.timer", check=False)
        units = "/etc/systemd/system/irctl-lease-*"
        self.host.run("sh", "-c", f"rm -rf {LEASES}/* {units}; systemctl daemon-reload; systemctl reset-failed")
        self.host.run("systemctl", "start", "ssh", "postgresql@15-main")
        for database in stored(self.host):
            ask(self.host, f"ALTER DATABASE {database} RESET ALL")


def make(own: Set, folder: Path, **more: Any) -> Irctl:
    """irctl with a home of its own, allowed to break the glass, and with a timer that was seen at work."""
    folder.mkdir(exist_ok=True)
    allowed = folder / "allowed"
    with allowed.open("w") as file:
        for who in ("ana", "ben"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / who], check=True)
            key = " ".join((folder / f"{who}.pub").read_text().split()[:2])
            file.write(f"{who}@example.com {key} roles=incident-commander\n")
    allowed.chmod(0o600)
    irctl = irctl_for(own, folder, **more)
    irctl.environment |= {
        "IRCTL_PRINCIPAL": "ana@example.com",
        "IRCTL_SIGNING_KEY": str(folder / "ana"),
        "IRCTL_ALLOWED_SIGNERS": str(allowed),
        "IRCTL_BREAK_GLASS": "24h",
    }
    assert irctl("leases", "run-due", "--every", "1h").code == 0
    return irctl


def controllers(own: Set, folder: Path) -> list[Far]:
    """Five that know nothing of each other, each with a database of its own: what must hold five times is done at once."""
    with ThreadPoolExecutor() as pool:
        homes = pool.map(lambda database: make(own, folder / database, **DATABASE), FIVE)
    return [Far(own, irctl, database) for irctl, database in zip(homes, FIVE, strict=True)]


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a process and all that it started."""
    everybody = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in everybody:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
