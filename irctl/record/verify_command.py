"""The command line of verify.py: python3 verify.py FOLDER|FILE.tar [--allowed-signers FILE].

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from irctl.record.allowed_signers import AllowedKey, read_allowed_signers
from irctl.record.contents import Difference
from irctl.record.folder_check import UNPROVED, Report, check, lacking_proof
from irctl.record.manifest_format import MANIFEST, TIMESTAMP, NotSealed, read_file
from irctl.record.unpacked import unpacked

OK, INVALID, NOT_AS_SEALED = 0, 2, 8
LARGEST_ALLOWED = 16 << 20  # bytes


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a sealed folder of irctl. Exit code 0: as it was sealed; 8: not.")
    parser.add_argument("folder", type=Path, metavar="FOLDER|FILE.tar", help="the folder, or a pack in one file")
    parser.add_argument("--allowed-signers", type=Path, metavar="FILE", help="OpenSSH's file of who has which key")
    parser.add_argument("--manifest-hash", type=str.lower, metavar="HASH", help="the hash that was noted when it was sealed")
    parser.add_argument("--require-signer", metavar="PRINCIPAL", help="exit with 8 unless they signed it and HASH is given")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        allowed, faults = _allowed(arguments.allowed_signers)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        print(f"error: --allowed-signers: it cannot be read: {visible(error)}", file=sys.stderr)
        return INVALID
    try:
        with unpacked(arguments.folder) as folder:
            report = check(folder, allowed)
    except NotSealed as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        return NOT_AS_SEALED
    anchored = report.digest == arguments.manifest_hash
    differences = report.differences + report.later
    if arguments.manifest_hash and not anchored:
        differences.append(Difference("changed", f"{MANIFEST} (its hash is {report.digest})"))
    if arguments.require_signer:
        differences += lacking_proof(report, arguments.require_signer, anchored=anchored)
    for one in differences:
        print(f"{one.kind:<8} {visible(one.name)}")
    print(_verdict(report, differences, anchored))
    for fault in faults:
        print(f"  {visible(arguments.allowed_signers)}: {visible(fault)}")
    return NOT_AS_SEALED if differences else OK


def _allowed(path: Path | None) -> tuple[list[AllowedKey] | None, list[str]]:
    return read_allowed_signers(read_file(path.resolve(), LARGEST_ALLOWED)) if path else (None, [])


def _verdict(report: Report, differences: list[Difference], anchored: bool) -> str:
    manifest, sealed, number = report.manifest, f"sealed at {report.manifest['sealed']}", len(differences)
    if number and all(one.kind == UNPROVED for one in differences):
        return f"{report.name} is as it was {sealed}, but it is NOT proved as required"
    if number:
        return f"{report.name} is NOT as it was {sealed}: {number} difference{'s' if number > 1 else ''}"
    is_pack = "incident" in manifest
    journal = f" and {manifest['journal']['seq']} lines of its journal" if is_pack else ""
    sentences = [f"{report.name} is as it was {sealed}: {len(manifest['files'])} files{journal} match"]
    if is_pack:
        sentences.append(f"  signed by {visible(report.signer)}" if report.signer else "  NOT signed")
    if report.signature.retired:
        sentences.append(f"  {visible(retired_note(report.signature.retired))}")
    if manifest.get("timestamp"):
        sentences.append(f"  {TIMESTAMP} is for {manifest['timestamp']['of']}; openssl ts -verify says whose it is")
    if anchored:
        sentences.append(f"  its hash is the one that was noted: {report.digest}")
    else:
        sentences.append(f"  UNANCHORED: that nothing newer was taken away, only who keeps this hash can say: {report.digest}")
    return "\n".join(sentences)


def retired_note(dates: str) -> str:
    """A sentence about a key that was valid when the pack says that it was sealed, and is not now."""
    return f"its key was valid then and is not now ({dates}); when it was sealed, the pack alone says unless a timestamp proves it"


def visible(text: object) -> str:
    """Text from outside in one line that does nothing to a terminal."""
    encoded = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in encoded)


if __name__ == "__main__":
    sys.exit(main())
