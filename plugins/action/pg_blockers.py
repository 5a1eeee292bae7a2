from ansible_collections.irctl.runbooks.plugins.modules import pg_blockers
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(pg_blockers)
