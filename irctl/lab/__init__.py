"""Servers that irctl starts itself, so that everything can be tried at once. Imports record and catalog."""
