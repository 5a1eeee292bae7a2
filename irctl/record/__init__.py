"""Files that can be checked years later: journals, seals, signatures, folders of runs, locks.

Imports errors only.
"""
