from ansible_collections.irctl.runbooks.plugins.modules import block_list
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(block_list)
