from ansible_collections.irctl.runbooks.plugins.modules import pg_scratch_writer
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import in_process

ActionModule = in_process(pg_scratch_writer)
