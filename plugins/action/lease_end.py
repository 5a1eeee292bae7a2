from ansible_collections.irctl.runbooks.plugins.plugin_utils.lease_end import ActionModule

__all__ = ["ActionModule"]
