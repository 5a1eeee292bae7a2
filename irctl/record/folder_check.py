"""Check a sealed folder by what is in it: files, journal, timestamp, signature.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.record.allowed_signers import AllowedKey
from irctl.record.contents import Difference, file_differences
from irctl.record.journal_lines import sealed_journal_differences
from irctl.record.manifest_format import INCIDENT_ID, JOURNAL, MANIFEST, RUN_ID, SIGNATURE, load_json, read_file, read_manifest
from irctl.record.signature_check import Verdict, signature_differences, timestamp_differences

UNPROVED = "unproved"  # the kind of what was to be proved and is not, though nothing was seen to differ
PACKED_RUN = re.compile(rf"runs/({RUN_ID.pattern})/(?:manifest|run|result)\.json", re.ASCII)


@dataclass
class Report:
    """What checking a folder found. `later` are the journal's lines after the sealed ones, as far as their chain holds."""

    manifest: dict[str, Any]
    digest: str
    differences: list[Difference] = field(default_factory=list)
    later: list[Difference] = field(default_factory=list)
    signature: Verdict = field(default_factory=lambda: Verdict(""))

    @property
    def name(self) -> str:
        """The run's or the incident's id."""
        return str(self.manifest.get("incident") or self.manifest["run"])

    @property
    def signer(self) -> str:
        """Who signed it with which key; '' where nobody did."""
        key, signer = self.signature.key, self.signature.signer
        if not key or self.signature.fault:
            return ""
        return f"{signer.who} with {key}" if signer else f"{key} (signer not known here)"


def lacking_proof(report: Report, principal: str, *, anchored: bool) -> list[Difference]:
    """What is missing of a proof that `principal` has signed this very pack and that it is the newest one."""
    signer, differences = report.signature.signer, []
    if report.signature.fault or signer is None or principal not in signer.principals:
        differences.append(Difference(UNPROVED, f"{SIGNATURE} (no key of {principal} has signed it, as far as is known here)"))
    if not anchored:
        differences.append(Difference(UNPROVED, f"{MANIFEST} (nothing outside of it says that it is the newest one)"))
    return differences


def name_differences(folder: Path, manifest: dict[str, Any]) -> list[Difference]:
    """Whether a folder, and what in it names its run or incident, is that of its manifest and of no other."""
    pattern = INCIDENT_ID if "incident" in manifest else RUN_ID
    own = str(manifest.get("incident") or manifest["run"])
    names = {folder.absolute().name, folder.resolve().name}
    differences = [
        Difference("swapped", f"{MANIFEST} (it is of {own}, and the folder is called {name})")
        for name in sorted(names)
        if pattern.fullmatch(name) and name != own
    ]
    for path, key in ((JOURNAL, "incident"),) if "incident" in manifest else (("run.json", "run"), ("result.json", "run")):
        other = _named_in(folder / path, key)
        if other and other != own:
            differences.append(Difference("swapped", f"{path} (it is of {other}, not of {own})"))
    for name in manifest["files"]:
        run = PACKED_RUN.fullmatch(name)
        other = _named_in(folder / name, "run") if run else ""
        if run and other and other != run[1]:
            differences.append(Difference("swapped", f"{name} (it is of {other})"))
    return differences


def _named_in(path: Path, key: str) -> str:
    """The run or incident that a document, or the first line of a journal, says that it is of; '' where it says none."""
    try:
        content = read_file(path)
        document = load_json(content.split(b"\n", 1)[0] if path.name == JOURNAL else content)
        value = document[key]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return value if isinstance(value, str) and len(value) < 100 else "another"


def check(folder: Path, allowed: Sequence[AllowedKey] | None = None) -> Report:
    """Hold a folder against its manifest. Raises NotSealed."""
    manifest, digest = read_manifest(folder)
    report = Report(manifest, digest, file_differences(folder, manifest) + name_differences(folder, manifest))
    if "incident" in manifest:
        found, report.later = sealed_journal_differences(folder, **manifest["journal"])
        report.differences += found
        report.differences += timestamp_differences(folder, manifest)
        found, report.signature = signature_differences(folder, manifest, allowed)
        report.differences += found
    return report
