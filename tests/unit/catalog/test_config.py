"""What is in force and where it came from."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from irctl.catalog import config
from irctl.errors import INVALID, Invalid


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text("inventory: /from/file\nhome: /home/file\ncontent: [/a, /b]\n")
    return path


def test_a_flag_outweighs_a_variable_which_outweighs_the_file_which_outweighs_the_default(written: Path) -> None:
    environment = {"IRCTL_CONFIG": str(written), "IRCTL_INVENTORY": "/from/variable"}
    assert config.load({"inventory": "/from/flag"}, environment).inventory == config.Setting("/from/flag", "--inventory")
    assert config.load({}, environment).inventory == config.Setting("/from/variable", "IRCTL_INVENTORY")
    assert config.load({}, {"IRCTL_CONFIG": str(written)}).inventory == config.Setting("/from/file", str(written))
    assert config.load({}, {"IRCTL_HOME": "/h"}).inventory == config.Setting("/h/lab/inventory", "default")


def test_the_file_has_an_origin_too(written: Path) -> None:
    settings = config.load({}, {"IRCTL_CONFIG": str(written)})
    assert settings.config == config.Setting(str(written), "IRCTL_CONFIG")
    assert settings.content.value == os.pathsep.join(["/a", "/b"])
    assert settings.home_path == Path("/home/file")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("inventry: x", "unknown setting inventry; known are inventory, home, content"),
        ("- x", "lines such as `inventory: /etc/irctl/inventory` are needed"),
        ("a: [", "cannot be read"),
        ("a: b: c", "cannot be read"),
        ("!!python/object:os.system x", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises(Invalid, match=why) as caught:
        config.load({}, {"IRCTL_CONFIG": str(path)})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == INVALID


def test_a_named_file_that_is_missing_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="IRCTL_CONFIG: no such file"):
        config.load({}, {"IRCTL_CONFIG": str(tmp_path / "nosuch")})
    (tmp_path / "empty").write_text("")
    assert config.load({}, {"IRCTL_CONFIG": str(tmp_path / "empty")}).home.origin == "default"


@pytest.mark.parametrize("text", ["home:\n", "inventory:\n", "content:\n"])
def test_a_setting_left_blank_does_not_name_a_folder_called_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text)
    try:
        settings = config.load({}, {"IRCTL_CONFIG": str(path)})
    except Invalid:
        return
    assert "None" not in (settings.home.value, settings.inventory.value, settings.content.value)


def checked(path: Path) -> Path:
    return config.load({"inventory": str(path), "home": "/h"}, {}).inventory_path()


def refused(path: Path, got: Path | None = None) -> str:
    with pytest.raises(Invalid) as caught:
        checked(path)
    assert str(caught.value).startswith("--inventory: ")
    assert f"(got '{got or path}"[:70] in str(caught.value)
    return str(caught.value)


def test_an_inventory_of_ones_own_is_taken_as_file_or_folder(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {}\n")
    assert checked(path) == path
    assert checked(tmp_path) == tmp_path


def test_an_inventory_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {}\n")
    path.chmod(0o666)
    assert "writable by everybody" in refused(path)


def test_a_folder_with_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    (tmp_path / "group_vars" / "all.yml").write_text("x: 1\n")
    (tmp_path / "group_vars" / "all.yml").chmod(0o666)
    assert "writable by everybody" in refused(tmp_path)


@pytest.mark.parametrize("name", ["group_vars/all.yml", "host_vars/lab/more.yml"])
def test_what_ansible_reads_beside_an_inventory_is_not_everybodys_either(tmp_path: Path, name: str) -> None:
    path, beside = tmp_path / "hosts.yml", tmp_path / name
    beside.parent.mkdir(parents=True)
    for file in (path, beside):
        file.write_text("all:\n")
    for place, mode in ((beside, 0o666), (beside.parent, 0o777), (beside.parent, 0o1777)):
        place.chmod(mode)
        assert "everybody" in refused(path, place), place
        place.chmod(0o755)
    beside.rename(tmp_path / "far")
    (tmp_path / "far").chmod(0o666)
    beside.symlink_to(tmp_path / "far")
    assert "writable by everybody" in refused(path, tmp_path / "far")
    beside.unlink()
    assert checked(path) == path


@pytest.mark.skipif(os.geteuid() != 0, reason="a folder is given to somebody else, which needs root")
def test_nobody_adds_variables_to_an_inventory_in_a_folder_such_as_tmp(tmp_path: Path) -> None:
    path, beside = tmp_path / "hosts.yml", tmp_path / "group_vars"
    path.write_text("all:\n")
    beside.mkdir()
    tmp_path.chmod(0o1777)
    assert checked(path) == path
    os.chown(beside, 65534, 65534)
    assert "belongs to user 65534" in refused(path, beside)
    assert "everybody may add to this folder" in refused(tmp_path)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder that everybody may write, with what somebody could use in it."""
    theirs = tmp_path / "theirs"
    for name, text in {"hosts.yml": "all: {}\n", "galaxy.yml": "{namespace: a, name: b}\n", "config.yml": "home: /h\n"}.items():
        theirs.mkdir(exist_ok=True)
        (theirs / name).write_text(text)
    theirs.chmod(0o777)
    return theirs


def test_a_link_to_an_inventory_in_a_folder_that_everybody_may_write_is_refused(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "hosts.yml").symlink_to(theirs / "hosts.yml")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "hosts.yml").symlink_to(tmp_path / "hosts.yml")
    for path in (tmp_path / "hosts.yml", tmp_path / "folder", theirs / "hosts.yml"):
        with pytest.raises(Invalid, match=f"^--inventory: writable by everybody.* .got '{str(theirs)[:60]}"):
            checked(path)
    theirs.chmod(0o1777)
    assert checked(tmp_path / "hosts.yml"), "as in /tmp, nobody can replace it there"
    (theirs / "hosts.yml").chmod(0o646)
    with pytest.raises(Invalid, match="writable by everybody"):
        checked(tmp_path / "hosts.yml")


def test_content_and_a_configuration_that_everybody_may_write_are_refused_also_behind_a_link(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "link").symlink_to(theirs)
    for folder in (theirs, tmp_path / "link"):
        with pytest.raises(Invalid, match=r"^content: writable by everybody"):
            _ = config.load({"content": str(folder)}, {}).contents
        with pytest.raises(Invalid, match=r"^IRCTL_CONFIG: writable by everybody"):
            config.load({}, {"IRCTL_CONFIG": str(folder / "config.yml")})
    theirs.chmod(0o755)
    assert [content.name for content in config.load({"content": str(theirs)}, {}).contents][1:] == ["a.b"]
    (theirs / "config.yml").chmod(0o602)
    with pytest.raises(Invalid, match=r"^IRCTL_CONFIG: writable by everybody"):
        config.load({}, {"IRCTL_CONFIG": str(theirs / "config.yml")})


def test_an_inventory_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "folder").mkdir()
    assert "is empty" in refused(tmp_path / "empty")
    assert "is empty" in refused(tmp_path / "folder")
    assert "no such file" in refused(tmp_path / "nosuch")


def test_where_there_is_no_inventory_at_all_the_lab_is_offered(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="irctl lab up"):
        config.load({"home": str(tmp_path)}, {}).inventory_path()


@pytest.mark.parametrize("value", [None, "", " ", "/srv/data"])
def test_home_and_configuration_lie_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    settings = config.load({}, {name: text for name, text in os.environ.items() if not name.startswith("IRCTL_")})
    assert settings.home.value == platformdirs.user_data_dir("irctl")
    assert settings.config.value == f"{platformdirs.user_config_dir('irctl')}/config.yml"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("inventory: [1, 2]", "inventory: text is needed, in quotes where it is a number (got '[1, 2]')"),
        ("home: 7", "home: text is needed, in quotes where it is a number (got '7')"),
        ("home: {a: b}", "home: text is needed, in quotes where it is a number (got '{'a': 'b'}')"),
        ("content: [1]", "content: a folder or a list of folders is needed (got '[1]')"),
        ("break_glass: 24", "break_glass: a time with a unit is needed, such as 24h (got '24')"),
        ("break_glass: soon", "break_glass: "),
        ("timestamp_url: ftp://x", "timestamp_url: it must begin with http:// or https:// (got 'ftp://x')"),
        ('principal: "a\\nb"', "principal: one line of text is needed"),
    ],
)
def test_a_wrong_setting_is_refused_when_it_is_read_and_kept_with_its_problem_for_the_doctor(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises(Invalid) as caught:
        config.load({}, {"IRCTL_CONFIG": str(path)})
    assert str(caught.value).startswith(f"{path}: {why}")
    wrong = [key for key, setting in vars(config.load_unchecked({}, {"IRCTL_CONFIG": str(path)})).items() if setting.problem]
    assert wrong == [text.partition(":")[0]]


def test_a_wrong_variable_is_refused_by_its_name() -> None:
    with pytest.raises(Invalid, match=r"^IRCTL_TIMESTAMP_URL: it must begin with http:// or https:// \(got 'ftp://x'\)$"):
        config.load({}, {"IRCTL_TIMESTAMP_URL": "ftp://x"})
