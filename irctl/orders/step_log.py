"""The steps of a run, written into its record as they come."""

from __future__ import annotations

from irctl.record import runs
from irctl.running.processes import kill_children
from irctl.running.results import Step


class StepLog:
    """The file steps.jsonl of a run. `lost` says why it could not be written; the run was then ended. Raises OSError."""

    def __init__(self, folder: runs.Folder) -> None:
        self._folder, self._file = folder, runs.open_steps(folder)
        self.lost = ""

    def add(self, step: Step) -> None:
        """Write a step. Where that fails, end the run: it must not go on unrecorded."""
        if self.lost:
            return
        try:
            runs.write_step(self._folder, self._file, step.document())
        except OSError as error:  # ansible-runner would swallow it
            self.lost = f"the record cannot be written: {error.strerror}"
            kill_children()

    def close(self) -> None:
        """Raises OSError."""
        self._file.close()
