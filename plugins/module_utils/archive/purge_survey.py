"""What may be deleted here: everything that is past retention and archived, or exactly what a list names. Read only."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees, values
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import (
    holdings,
    keys,
    object_store,
    plan,
    purge,
    reliance,
    subjects,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.holdings import Holdings
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.purge import Doomed, Line
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reliance import Relied
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.subjects import Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Skipped


class Survey:
    """The subjects that are past retention, and what the archive holds of each. Raises Failure or ValueError.

    `drill` leaves only the files that a drill has made.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.now, self.drill = time.time(), bool(params["drill"])
        self.prefix, self._older = keys.check_prefix(params["prefix"]), values.seconds(params["older_than"])
        self._min_age = values.seconds(params["min_age"])
        self.subjects, self.skipped = list[Subject](), list[Skipped]()
        if not self.drill or paths.has_name(params["tree"]):
            self.subjects, self.skipped = subjects.select(params["home"] or "", params["tree"] or "", self._older, self.now)
        self.store = object_store.open_store(params["bucket"], params)
        self._holdings: dict[str, Holdings] = {}

    def holdings(self, subject: Subject) -> Holdings:
        if subject.name not in self._holdings:
            self._holdings[subject.name] = holdings.load(self.store, self.prefix, subject.name)
        return self._holdings[subject.name]

    def files(self, subject: Subject) -> list[File]:
        """The files of a subject that are old enough, but for those that always stay."""
        files = subjects.files_of(subject, self.now - self._older).files
        meant = [file for file in files if not self.drill or trees.DRILLED.fullmatch(file.path)]
        return [file for file in meant if file.path not in subject.stays]

    def unreliable(self, doomed: list[Doomed]) -> list[Skipped]:
        """Those of these files that the archive cannot be relied on for, and why; the store is asked now."""
        relied = [self._relied(one) for one in doomed]
        reasons = reliance.objections(self.store, relied, 0 if self.drill else self._min_age, fresh=False)
        return [Skipped(one.line.path, reason) for one, reason in zip(doomed, reasons, strict=True) if reason]

    def _relied(self, one: Doomed) -> Relied:
        """A hold that its incident has no longer may have been lifted in the store, by people who may."""
        lock = replace(self.holdings(one.subject).lock, hold=False)
        return Relied(one.entry["key"], holdings.expected_of(one.entry), one.entry.get("believed", False), lock)

    def refusals(self) -> list[str]:
        """Why the archive of what is past retention cannot be relied on, each a sentence."""
        reasons = [self.store.expiry.refused] if self.store.expiry.refused else []
        for subject in self.subjects:
            archived = self.holdings(subject)
            if not self.store.has_object_lock and (reason := plan.locked_elsewhere(archived, subject.name, self.now)):
                reasons.append(reason)
            if lost := archived.lost_manifests:
                reasons.append(f"The archive has lost manifest {lost[0]} of {subject.name}. Look for who deleted it.")
        return reasons


class Candidates:
    """What could be deleted: its lines for a list, its bytes, and what must stay and why."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self.lines, self.bytes, self.skipped = list[Line](), 0, list(survey.skipped)
        for subject in survey.subjects:
            for file in survey.files(subject):
                self._sort_in(subject, file)

    def _sort_in(self, subject: Subject, file: File) -> None:
        path = f"{subject.root}/{file.path}"
        if reason := self._objection(subject, file, path):
            self.skipped.append(Skipped(path, reason))
        else:
            self.lines.append(Line(self._survey.holdings(subject).entries[file.path]["sha256"], path))
            self.bytes += file.bytes

    def _objection(self, subject: Subject, file: File, path: str) -> str:
        if subject.held:
            return purge.on_hold(subject)
        if not purge.can_stand_in_a_list(path):
            return "its name is not plain text"
        archived = self._survey.holdings(subject)
        entry = archived.entries.get(file.path)
        if entry is None:
            return "not archived"
        if entry["bytes"] != file.bytes or sha256_of(subject.root, file) != entry["sha256"]:
            return "not as it was archived"
        return "" if archived.has(entry) else "its object is no longer in the archive"


class Listed:
    """The files that a list names, and why some must not be deleted."""

    def __init__(self, survey: Survey, lines: list[Line]) -> None:
        self._survey, self.lines = survey, lines
        self._by_root = {subject.root: subject for subject in survey.subjects}

    @cached_property
    def subjects(self) -> list[Subject]:
        """Those that lines of the list lie in; all that there are may be more than there are descriptors."""
        owned = [purge.owner(line.path, self._by_root) for line in self.lines]
        named = {subject.root for subject, _path in filter(None, owned)}
        return [subject for subject in self._survey.subjects if subject.root in named]

    @cached_property
    def _judged(self) -> tuple[list[Doomed], list[Skipped]]:
        files = {subject.root: self._files(subject) for subject in self.subjects if not subject.held}
        doomed, objections = [], []
        for line in self.lines:
            owned = purge.owner(line.path, self._by_root)
            judged = self._judge(line, *owned, files.get(owned[0].root, {})) if owned else "not of what is past retention"
            if isinstance(judged, str):
                objections.append(Skipped(line.path, judged))
            else:
                doomed.append(judged)
        return doomed, objections

    @property
    def doomed(self) -> list[Doomed]:
        """The files that may be deleted, those that are gone already among them."""
        return self._judged[0]

    @property
    def present(self) -> list[Doomed]:
        return [one for one in self.doomed if one.file]

    @property
    def objections(self) -> list[Skipped]:
        return list(self._judged[1])

    def _files(self, subject: Subject) -> dict[str, File]:
        return {file.path: file for file in self._survey.files(subject)}

    def _judge(self, line: Line, subject: Subject, path: str, files: dict[str, File]) -> Doomed | str:
        """The file of a line, or why it must not be deleted."""
        if subject.held:
            return purge.on_hold(subject)
        if path in subject.stays:
            return "an incident's own record stays"
        entry = purge.archived_entry(self._survey.holdings(subject), path, line.sha256)
        if entry is None:
            return "the archive does not have it as it is listed"
        file = files.get(path)
        if file is None:
            return "written to since, or a link by now" if paths.has_name(line.path) else Doomed(line, subject, path, None, entry)
        if sha256_of(subject.root, file) != line.sha256:
            return "changed since it was listed"
        return Doomed(line, subject, path, file, entry)


def read_list(params: Mapping[str, Any]) -> tuple[list[Line], str]:
    """The lines of the list that was named, and why its record does not say that it is approved, or ''. Raises ValueError."""
    lines = purge.parsed(_read("list", params["list"]), params["list_hash"])
    try:
        record = json.loads(_read("record", params["record"] or ""))
    except ValueError as error:
        return lines, f"who approved it cannot be read: {values.printable(error, 120)}"
    return lines, purge.unapproved(record, params["list_hash"])


def _read(what: str, path: str) -> bytes:
    """A file of no more than LARGEST_LIST bytes, by its whole path. Raises ValueError."""
    folder, name = os.path.split(path)
    if not os.path.isabs(folder):
        raise ValueError(f"{what}: its whole path is needed (got '{values.printable(path, 80)}')")
    try:
        with trees.reading(folder, name) as reading:
            if reading.file.bytes > purge.LARGEST_LIST:
                raise ValueError(f"{what}: larger than {purge.LARGEST_LIST} bytes")
            return b"".join(reading.pieces(trees.PIECE))
    except OSError as error:
        reason = trees.reason_of(error)
        raise ValueError(f"{what}: it cannot be read: {reason} (got '{values.printable(path, 80)}')") from None


def sha256_of(root: str, file: File) -> str:
    """The sha256 of a file that is what it was when it was looked at; '' for any other."""
    digest = hashlib.sha256()
    try:
        with trees.reading(root, file.path) as reading:
            for piece in reading.pieces(trees.PIECE):
                digest.update(piece)
            unchanged = reading.file == file and reading.meanwhile(file.bytes) == ("", True)
    except OSError:
        return ""
    return digest.hexdigest() if unchanged else ""
