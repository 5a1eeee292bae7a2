"""What a list of nginx needs to be told."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import deny_file

LIST = "/etc/nginx/conf.d/blocked.conf"


@pytest.mark.parametrize(("path", "why"), [("", "edge_nginx_include"), ("conf.d/x", "edge_nginx_include")])
def test_a_list_needs_a_whole_path(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        deny_file.Backend({"nginx_include": path, "nginx_test": ["nginx", "-t"], "nginx_reload": []})


def test_a_command_that_reloads_is_needed() -> None:
    with pytest.raises(ValueError, match="edge_nginx_reload: a command is needed"):
        deny_file.Backend({"nginx_include": LIST, "nginx_test": ["nginx", "-t"], "nginx_reload": []})
