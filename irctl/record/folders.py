"""Folders and files that only their owner may look into."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only. Raises OSError."""
    if not paths.is_folder(path):
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def private(path: str, flags: int) -> int:
    """An opener for `open`: a file that it makes is its owner's only."""
    return os.open(path, flags, 0o600)
