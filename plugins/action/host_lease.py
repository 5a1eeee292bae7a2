from ansible_collections.irctl.runbooks.plugins.modules import host_lease
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(host_lease)
