"""What there is: remediations, their parameters, the folders they lie in, the settings in force.

Imports errors only.
"""
