from ansible_collections.irctl.runbooks.plugins.modules import archive_evidence
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(archive_evidence)
