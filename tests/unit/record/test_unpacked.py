"""A pack in one file is laid out within its own place, whatever the file says, and is gone again afterwards."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from irctl.record import unpacked
from irctl.record.manifest_format import NotSealed

INCIDENT = "INC-2026-1121-001"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, in a folder that nothing else is in."""
    place = tmp_path / "outer" / "tmp"
    place.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def member(name: str, content: bytes = b"x", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("top", [f"{INCIDENT}/", "./", f"./{INCIDENT}/", ""])
def test_a_pack_is_found_wherever_it_lies_in_its_tar(tmp_path: Path, place: Path, top: str, kind: int) -> None:
    deep = "/".join(["a" * 90] * 5)
    files = {"manifest.json": b"{}", "größe.md": b"g" * 3000, f"{deep}/x.log": b"", os.fsdecode(b"\xff"): b"y"}
    folders = [member(f"{top}empty", b"", type=tarfile.DIRTYPE), member(top or ".", b"", type=tarfile.DIRTYPE)]
    path = tar(tmp_path / "p.tar", *folders, *(member(top + name, content) for name, content in files.items()), kind=kind)
    with unpacked.unpacked(path) as folder:
        assert listing(folder) == dict(sorted(files.items()))
        assert (folder / "empty").is_dir()
        [whole] = place.iterdir()
        assert not whole.stat().st_mode & 0o077, "nobody else may look into it"
    assert list(place.iterdir()) == []


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nosuch"):
        with unpacked.unpacked(path) as folder:
            assert folder == path


HOSTILE: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "above": ([member("../evil")], "outside its folder"),
    "above, later": ([member("a/../../evil")], "outside its folder"),
    "absolute": ([member("/tmp/evil")], "outside its folder"),
    "a link": ([member("a", b"", type=tarfile.SYMTYPE, linkname="/etc"), member("a/passwd")], "neither a file nor a folder"),
    "a hard link": ([member("a", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "neither a file nor a folder"),
    "a pipe": ([member("a", b"", type=tarfile.FIFOTYPE)], "neither a file nor a folder"),
    "a device": ([member("a", b"", type=tarfile.CHRTYPE)], "neither a file nor a folder"),
    "a name twice": ([member("a"), member("a", b"other")], "File exists"),
    "a file as a folder": ([member("a"), member("a/b")], "exists|Not a directory"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_reach_outside_is_refused_and_nothing_is_left(tmp_path: Path, place: Path, name: str) -> None:
    members, why = HOSTILE[name]
    path = tar(tmp_path / "p.tar", *members)
    with pytest.raises(NotSealed, match=why), unpacked.unpacked(path):
        pass
    assert list(place.parent.rglob("*")) == [place]
    assert not Path("/tmp/evil").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def _gzip(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(*((info := member("a", b"\0" * 10**6))[0], io.BytesIO(info[1])))


def _large_header(path: Path) -> None:
    """An attribute of 3 MiB, which a reader would hold in memory."""
    info, content = member("a")
    info.pax_headers = {"comment": "x" * (3 << 20)}
    tar(path, (info, content), kind=tarfile.PAX_FORMAT)


def _sparse(path: Path) -> None:
    """A file of 1 TiB in a few bytes."""
    info, _ = member("a", b"")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a",
                        "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": f"{1 << 40},0"}  # fmt: skip
    tar(path, (info, b""), kind=tarfile.PAX_FORMAT)


def _lying_size(path: Path) -> None:
    info, content = member("a", b"x" * 600)
    info.pax_headers = {"size": str(1 << 40)}
    tar(path, (info, content), kind=tarfile.PAX_FORMAT)


def _negative_size(path: Path) -> None:
    info, content = member("a")
    info.pax_headers = {"size": "-1024"}
    tar(path, (info, content), kind=tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "make", [_cut, _gzip, _large_header, _sparse, _lying_size, _negative_size, lambda path: path.write_bytes(b"no tar" * 200)]
)
def test_what_is_no_sound_tar_is_refused_within_its_bounds(tmp_path: Path, place: Path, make: Callable[[Path], object]) -> None:
    path = tar(tmp_path / "p.tar", member("a", b"x" * 600))
    make(path)
    with pytest.raises(NotSealed, match=r"p\.tar cannot be unpacked: "), unpacked.unpacked(path):
        pass
    assert list(place.iterdir()) == []


def test_too_many_members_are_refused(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "MOST_MEMBERS", 3)
    path = tar(tmp_path / "p.tar", *(member(f"{number}") for number in range(4)))
    with pytest.raises(NotSealed, match="more than 3 members"), unpacked.unpacked(path):
        pass


def test_what_is_found_wrong_in_it_is_told_with_the_name_of_the_tar(tmp_path: Path, place: Path) -> None:
    path = tar(tmp_path / "p.tar", member(f"{INCIDENT}/a"))
    with pytest.raises(NotSealed, match=rf"^{path}/{INCIDENT} is not sealed"), unpacked.unpacked(path) as folder:
        raise NotSealed(f"{folder} is not sealed")
