from ansible_collections.irctl.runbooks.plugins.modules import pg_blocking_sessions
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(pg_blocking_sessions)
