"""How a module of this collection starts when it is shipped: the same run() as in-process, its errors said once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided, Unreachable


def start(arguments: dict[str, Any], run: Callable[[dict[str, Any], bool], dict[str, Any]]) -> None:
    """Run as an Ansible module: read the arguments, call run(params, check_mode), print its result or its failure."""
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (Failure, ValueError) as error:
        module.fail_json(msg=str(error), unanswered=isinstance(error, Unreachable), undecided=isinstance(error, Undecided))
