from ansible_collections.irctl.runbooks.plugins.modules import scratch_certificate
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(scratch_certificate)
