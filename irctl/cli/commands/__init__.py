"""One file for each verb of the command line, which app.py imports when it is asked for. Imports cli, and what cli may."""
