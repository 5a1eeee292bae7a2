from ansible_collections.irctl.runbooks.plugins.modules import certificate_renewal
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(certificate_renewal)
