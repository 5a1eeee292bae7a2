"""A configuration as `nginx -T` prints it, for tests: what is written into http, and further files."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive

LIST = "/etc/nginx/conf.d/blocked.conf"


def config(http: str, main: str = "", **files: str) -> tuple[Directive, ...]:
    """More files by their name below sites/; the text of http begins in line 4, that of `main` in line 6."""
    text = f"user x; # a }} comment\nhttp {{\n log_format main '$remote_addr {{ ;';\n {http}\n}}\n{main}"
    parts = {"/etc/nginx/nginx.conf": text, LIST: "deny 91.0.0.1;\n"}
    parts |= {f"/etc/nginx/sites/{name}": text for name, text in files.items()}
    return parsed(parts)


def parsed(files: dict[str, str]) -> tuple[Directive, ...]:
    printed = "".join(f"# configuration file {name}:\n{text}\n" for name, text in files.items())
    return configuration.parse(printed, LIST).directives
