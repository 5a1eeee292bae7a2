"""Servers that irctl starts itself, so that everything can be tried at once. Imports record and catalog."""

INSTALL = "pip install '.[lab]', or pipx install --force '.[lab]', in a checkout of irctl"
