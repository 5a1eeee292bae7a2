# GNU General Public License v3.0 or later (see LICENSE)
"""How every module for AWS, or what stands in for it, is told whose account it is; aws.ARGUMENTS is what they take."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of an account."""

    DOCUMENTATION = """
options:
  region:
    description: The AWS region. Unset means that of the profile.
    type: str
  profile:
    description: The profile of the AWS configuration to use.
    type: str
  config_file:
    description: An AWS configuration file, mode 0600.
    type: path
  credentials_file:
    description: An AWS credentials file, mode 0600.
    type: path
  endpoint:
    description: The address of a store or a service that stands in for AWS. Unset means AWS.
    type: str
"""
