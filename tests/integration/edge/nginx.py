"""A real nginx on loopback for the tests of block-ip, and what its clients get."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.modules import block_list
from irctl.lab.postgres import free_port
from tests.conftest import Irctl, write_inventory

GUILTY, INNOCENT = "127.0.0.2", "127.0.0.3"
OFFICE = "192.0.2.0/24"
MODULES = Path("/usr/lib/nginx/modules")
MODSECURITY = MODULES / "ngx_http_modsecurity_module.so"
NGINX_CONFIG = """
user root;
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{main}
events {{}}
http {{
  access_log off;
  include {folder}/conf.d/*.conf;
  {http}
  server {{ listen 127.0.0.1:{port}; root {folder}/www; {server} }}
}}
"""


def missing() -> str:
    """What this machine lacks for these tests; '' for nothing."""
    programs = {"nginx": "nginx-light", "ip": "iproute2", "ss": "iproute2"}
    where = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = sorted({package for name, package in programs.items() if not shutil.which(name, path=where)})
    return f"apt-get install {' '.join(lacking)}, as tools/install-test-servers does" if lacking else ""


@dataclass
class Nginx:
    """A real nginx on loopback, whose configuration takes in every file of conf.d."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def list(self) -> Path:
        return self.folder / "conf.d" / "blocked.conf"

    @property
    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def configure(self, main: str = "", http: str = "", server: str = "") -> None:
        text = NGINX_CONFIG.format(folder=self.folder, port=self.port, main=main, http=http, server=server)
        (self.folder / "nginx.conf").write_text(text)

    def start(self, **parts: str) -> None:
        (self.folder / "conf.d").mkdir()
        for place in ("www", "www/status"):
            (self.folder / place).mkdir()
            (self.folder / place / "index.html").write_text("served")
        self.configure(**parts)
        self.process = subprocess.Popen(self.command)
        for _ in range(500):
            with suppress(OSError, ValueError):
                (self.folder / "nginx.pid").read_text().index("\n")
                return socket.create_connection(("127.0.0.1", self.port)).close()
            time.sleep(0.01)
        raise AssertionError((self.folder / "error.log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()

    def reload(self) -> None:
        subprocess.run([*self.command, "-s", "reload"], check=True)
        time.sleep(0.3)

    def answer(self, client: str, path: str = "/", headers: dict[str, str] | None = None) -> int:
        """The status that a client of this address gets."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        with socket.create_connection(("127.0.0.1", self.port), timeout=5, source_address=(client, 0)) as one:
            one.sendall(f"GET {path} HTTP/1.0\r\n{lines}\r\n".encode())
            return int(one.recv(100).split()[1])

    def answers(self) -> tuple[int, int]:
        return self.answer(GUILTY), self.answer(INNOCENT)

    def host(self, **more: Any) -> dict[str, Any]:
        reach = {"ansible_connection": "local", "irctl_drills": "allowed", "block_ip_backend": "nginx", "edge_protected": [OFFICE]}
        reach |= {"edge_nginx_test": [*self.command, "-t"], "edge_nginx_reload": [*self.command, "-s", "reload"]}
        return {**reach, "edge_nginx_include": str(self.list), "block_ip_allow_private": True, **more}

    def irctl(self, **more: Any) -> Irctl:
        return Irctl(self.folder / "home", write_inventory(self.folder, {"edge": self.host(**more)}))

    def block(self, *addresses: str, **more: Any) -> Any:
        words = [word for address in addresses for word in ("--address", address)]
        return self.irctl(**more)("remediate", "block-ip", "--host", "edge", "--json", *words)

    def step(self, state: str, *addresses: str, **more: Any) -> dict[str, Any]:
        """A step of the module, in this process."""
        defaults = {name: option.get("default") for name, option in block_list.ARGUMENTS.items()}
        own = {"backend": "nginx", "nginx_include": str(self.list), "nginx_test": [*self.command, "-t"], "protected": [OFFICE]}
        reload = {"nginx_reload": [*self.command, "-s", "reload"], "allow_private": True}
        return block_list.run({**defaults, **own, **reload, "addresses": [*addresses], "state": state, **more}, False)

    def outcome(self, *addresses: str, **more: Any) -> tuple[str, str]:
        """Block the addresses: 'blocked', 'undecided', 'failed' or 'refused', and why."""
        before = self.step("listed", *addresses, **more)
        if before["refusals"]:
            return "refused", " ".join(before["refusals"])
        try:
            self.step("changed", *addresses, found=before["found"], **more)
            return "blocked", self.step("proved", *addresses, **more)["msg"]
        except Undecided as error:
            return "undecided", str(error)
        except Failure as error:
            return "failed", str(error)
