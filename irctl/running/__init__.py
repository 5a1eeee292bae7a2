"""Ansible at work: one job in, its result out.

The only room that imports ansible and ansible_runner. Imports record and catalog.
"""
