"""Incident remediations that look before they act, keep the evidence, prove the effect and can be practised."""

__version__ = "0.1.0"
