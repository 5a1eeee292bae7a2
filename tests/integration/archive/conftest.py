"""A store, what is archived in it, and the incidents of a home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import stores
from tests.servers.archives import Archive, write
from tests.servers.stores import S3


@pytest.fixture
def store(seaweed: str) -> Iterator[S3]:
    with stores.watched(seaweed) as found:
        yield found


@pytest.fixture
def careless() -> Iterator[S3]:
    with stores.careless() as found:
        yield found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for number in range(12):
        write(folder / f"day {number % 3}" / f"app-{number}.log", f"line {number}\n".encode() * (number + 1))
    write(folder / "ünï+%41.txt", b"odd name")
    write(folder / "empty", b"")
    return folder


@pytest.fixture
def archive(store: S3, tmp_path: Path, tree: Path) -> Archive:
    return Archive(store, tmp_path, tree)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
