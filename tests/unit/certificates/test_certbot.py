"""An order of certbot: its settings, the hooks that it leaves out, and why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import certbot
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage


def test_an_order_has_places_of_its_own_and_no_hooks() -> None:
    lines = ["archive_dir = /le/archive/a\n", "cert = /le/live/a/cert.pem\n", "[renewalparams]\n", "renew_hook = reboot\n"]
    kept = certbot.staged([*lines, "config_dir = /le\n", "server = https://x/dir\n", "[[webroot_map]]\n"], Lineage("/o", "a"))
    places = ["archive_dir = /o/archive/a\n", "cert = /o/live/a/cert.pem\n"]
    assert kept == [*places, "[renewalparams]\n", "server = https://x/dir\n", "[[webroot_map]]\n"]


def test_hooks_are_found_in_every_form_that_certbots_own_configuration_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal" / "a.conf").write_text("[renewalparams]\npost_hook = reboot\n")
    lines = [
        "# pre-hook = no",
        "--pre-hook = one",
        "post-hook: 'two'",
        "deploy-hook three four",
        "[x]",
        "renew-hook=",
        "pre-hooks = no",
    ]
    (tmp_path / "cli.ini").write_text("\n".join(lines))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(certbot, "COMMON", ("~/cli.ini", "~/nosuch.ini"))
    refused, left = certbot.hooks(Lineage(str(tmp_path), "a"))
    path, not_run = tmp_path / "cli.ini", "which irctl does not run."
    assert refused == [
        f"The lineage has a post_hook (reboot), {not_run}",
        f"{path} has a pre_hook (one), {not_run}",
        f"{path} has a post_hook (two), {not_run}",
    ]
    assert left == [f"the deploy_hook of {path} is not run: three four"]


def test_a_part_of_a_version_is_put_aside_too_and_a_second_time_finishes_the_first(tmp_path: Path) -> None:
    lineage = Lineage(str(tmp_path), "a")
    Path(lineage.archive).mkdir(parents=True)
    for number in (2, 3):
        Path(lineage.path("privkey", number)).write_text(str(number))
        lineage.put_aside(number)
    assert lineage.versions() == {}
    assert sorted(path.read_text() for path in Path(lineage.own_folder).rglob("privkey*")) == ["2", "3"]


def test_what_certbot_prints_is_cut_to_why() -> None:
    lines = [
        "Saving debug log",
        "Failed to renew certificate a with error: Some challenges have failed.",
        "  Detail: 404",
        "All failed.",
    ]
    assert certbot.reason("\n".join(lines)) == "Some challenges have failed. 404"
    assert certbot.reason("one\ntwo\n") == "two"


def test_links_of_several_versions_are_said_and_not_followed(tmp_path: Path) -> None:
    found = Lineage(str(tmp_path), "a")
    for folder in (found.live, found.archive):
        Path(folder).mkdir(parents=True)
    for kind, number in (("cert", 2), ("privkey", 1), ("chain", 2), ("fullchain", 2)):
        Path(found.path(kind, number)).touch()
        Path(found.live, f"{kind}.pem").symlink_to(f"../../archive/a/{kind}{number}.pem")
    with pytest.raises(certbot.Failure, match="several versions: cert 2, privkey 1, chain 2, fullchain 2"):
        found.current()


def test_an_order_that_was_cut_short_in_the_middle_of_a_file_waits_for_nobody_and_can_be_forgotten(tmp_path: Path) -> None:
    lineage = Lineage(str(tmp_path), "a")
    order = certbot.Order(lineage)
    for path in map(Path, order.files()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    assert order.pair() is None
    order.discard()
    assert [path.name for path in Path(lineage.own_folder).iterdir()] == ["issued"]
