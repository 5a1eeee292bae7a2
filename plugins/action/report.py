from ansible_collections.irctl.runbooks.plugins.plugin_utils.report import ActionModule

__all__ = ["ActionModule"]
