"""Check a sealed folder, or a copy of one: by what is in it, and by what the journal of a home knows of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import EvidenceError
from irctl.record import folder_check, journal_lines
from irctl.record.contents import Difference
from irctl.record.known import Known, known
from irctl.record.manifest_format import JOURNAL, MANIFEST, RUN_ID, TIMESTAMP, NotSealed
from irctl.record.signing import AllowedFile
from irctl.record.timestamps import openssl_ts, stamped_at
from irctl.record.verify_command import retired_note, visible

MANIFEST_IN_PACK = re.compile(rf"runs/({RUN_ID.pattern})/{re.escape(MANIFEST)}", re.ASCII)


@dataclass
class Checked:
    """What checking a folder found. `notes` are sentences.

    `anchored`: the journal knows this manifest as the newest one, or `noted`: it has the hash that somebody noted elsewhere.
    """

    manifest: dict[str, Any]
    digest: str
    differences: list[Difference]
    signer: str = ""
    report: folder_check.Report | None = None
    anchored: bool = False
    noted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's or the incident's id."""
        return str(self.manifest.get("incident") or self.manifest["run"])

    def lacking_proof(self, principal: str) -> list[Difference]:
        """What is missing of a proof that `principal` has signed it and that it is the newest one."""
        assert self.report
        return folder_check.lacking_proof(self.report, principal, anchored=self.anchored)


def hold_against(checked: Checked, digest: str) -> None:
    """Hold the manifest against its hash as somebody has noted it elsewhere."""
    if checked.digest != digest:
        checked.differences.append(_of_manifest("changed", f"its hash is {checked.digest}"))
    checked.noted = checked.digest == digest
    checked.anchored = checked.anchored or checked.noted


def check(folder: Path, home: Path, allowed: AllowedFile | None = None, tsa_ca: Path | None = None) -> Checked:
    """Hold a sealed folder, or a copy, against its manifest and what the journal of a home knows. Raises EvidenceError."""
    try:
        report = folder_check.check(folder, allowed.keys if allowed else None)
    except NotSealed as error:
        raise EvidenceError(f"{visible(error)}{_expected_seal(folder, home)}") from None
    checked = Checked(report.manifest, report.digest, report.differences, report.signer, report)
    by_home = known(home)
    if "incident" in report.manifest:
        _check_pack(checked, by_home, is_at_home=_is_same(folder, home / "incidents" / checked.name))
        _check_journal(checked, by_home, folder, home, report.later)
        _check_timestamp(checked, folder, tsa_ca)
    else:
        _check_run(checked, by_home, folder, home)
    if report.signature.retired:
        checked.notes.append(retired_note(report.signature.retired))
    if allowed and report.manifest.get("signed"):
        checked.notes += [f"{allowed.path}: {reason}" for reason in allowed.unused[:10]]
    return checked


def _expected_seal(folder: Path, home: Path) -> str:
    """What the journal says about the seal that a folder of the home lacks, or ''."""
    name, by_home = folder.resolve().name, known(home)
    within = _is_same(folder, home / "runs" / name) or _is_same(folder, home / "incidents" / name)
    was_sealed = name in by_home.runs or name in by_home.packs
    return "; the journal of this home knows that it was sealed, so somebody took its seal away" if within and was_sealed else ""


def _of_manifest(kind: str, why: str) -> Difference:
    return Difference(kind, f"{MANIFEST} ({why})")


def _check_run(checked: Checked, by_home: Known, folder: Path, home: Path) -> None:
    manifests = by_home.runs.get(checked.name, [])
    checked.anchored = manifests == [checked.digest]
    if len(manifests) > 1:
        checked.differences.append(_of_manifest("changed", f"the journal knows {len(manifests)} seals, and a run is sealed once"))
    elif manifests and not checked.anchored:
        checked.differences.append(_of_manifest("changed", "the journal knows another"))
    elif not manifests and _is_same(folder, home / "runs" / checked.name) and not paths.exists(home / "open" / checked.name):
        checked.differences.append(_of_manifest("unknown", "the journal of this home knows no seal of it"))


def _check_pack(checked: Checked, by_home: Known, *, is_at_home: bool) -> None:
    packs = by_home.packs.get(checked.name, {})
    newest = list(packs)[-1:]
    checked.anchored = newest == [checked.digest]
    if not newest and is_at_home:
        checked.differences.append(_of_manifest("unknown", "the journal of this home knows no seal of it"))
    elif newest and checked.digest not in packs:
        checked.differences.append(_of_manifest("changed", "the journal knows another"))
    elif newest and not checked.anchored:
        checked.differences.append(_of_manifest("older", f"the journal knows a newer pack, sealed at {packs[newest[0]]}"))
    for name, entry in checked.manifest["files"].items():
        run = MANIFEST_IN_PACK.fullmatch(name)
        manifests = by_home.runs.get(run[1], []) if run else []
        if manifests and manifests != [entry["sha256"]]:
            checked.differences.append(Difference("changed", f"{name} (the journal knows another)"))


def _check_journal(checked: Checked, by_home: Known, folder: Path, home: Path, later: list[Difference]) -> None:
    """Lines after the seal are no harm where the home's journal knows them, nor is what a killed process left in the home."""
    heads = by_home.heads.get(checked.name, {})
    is_at_home = _is_same(folder, home / "incidents" / checked.name)
    checked.differences += head_differences(folder, heads, whole=is_at_home)
    unknown = later[max(0, max(heads, default=0) - checked.manifest["journal"]["seq"]) :]
    if not is_at_home:
        checked.differences += unknown
    elif unknown:
        which = f"{len(unknown)} lines" if len(unknown) > 1 else "line"
        checked.notes.append(f"the journal of this home does not know the last {which} of {JOURNAL}: UNANCHORED")
    if number := len(later) - len(unknown):
        came = f"{number} lines" if number > 1 else "1 line"
        checked.notes.append(f"{came} of {JOURNAL} came later, to be sealed by the next pack")


def head_differences(folder: Path, heads: dict[int, str], *, whole: bool = True) -> list[Difference]:
    """How the journal of an incident differs from the heads that its home knows; `whole`: it must have all of their lines."""
    lines = journal_lines.lines_of(folder)
    other = [seq for seq, head in heads.items() if seq <= len(lines) and lines[seq - 1].hash != head]
    differences = [
        Difference("changed", f"{JOURNAL}: line {seq} (the journal of this home knows another)") for seq in sorted(other)
    ]
    last = max(heads, default=0)
    if whole and last > len(lines):
        missing = journal_lines.missing_at_the_end(last - len(lines))
        differences.append(Difference("missing", f"{JOURNAL}: {missing} (the journal of this home knows line {last})"))
    return differences


def _is_same(folder: Path, other: Path) -> bool:
    try:
        return folder.samefile(other)
    except OSError:
        return False


def _check_timestamp(checked: Checked, folder: Path, tsa_ca: Path | None) -> None:
    stamp = checked.manifest["timestamp"]
    if stamp and tsa_ca:
        words = ("-verify", "-digest", stamp["of"], "-in", str(folder / TIMESTAMP), "-CAfile", str(tsa_ca))
        done = openssl_ts(*words)
        if done.returncode:
            why = visible(" ".join(done.stderr.decode("utf-8", "replace").split()))[-160:]
            checked.differences.append(Difference("changed", f"{TIMESTAMP} (openssl: {why})"))
        else:
            checked.notes.append(f"a timestamp proves that it was there at {stamped_at(folder / TIMESTAMP)}")
    elif stamp:
        checked.notes.append("its timestamp is not checked: --tsa-ca FILE does that")
    elif tsa_ca:
        checked.differences.append(Difference("missing", f"{TIMESTAMP} (it was sealed without one)"))
