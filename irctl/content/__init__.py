"""Folders of content: the rules that hold for them, what is generated in them, and a new remediation to begin with.

Imports the catalog only. What a folder holds is read with its own Python, so only its author and `make docs` come here.
"""
