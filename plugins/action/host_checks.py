from ansible_collections.irctl.runbooks.plugins.plugin_utils.host_checks import ActionModule

__all__ = ["ActionModule"]
