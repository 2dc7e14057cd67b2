"""What the runner tells a point's process: one JSON file in the point's folder, named by RX580LAB_POINT."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rx580lab.errors import ExperimentError
from rx580lab.experiment.model import Value
from rx580lab.results import atomic_write

__all__ = ["EXECUTED_FILE", "POINT_VARIABLE", "REQUEST_FILE", "PointRequest"]

POINT_VARIABLE = "RX580LAB_POINT"
REQUEST_FILE = "request.json"
EXECUTED_FILE = "executed.ipynb"


class PointRequest(BaseModel):
    """One sweep point to run. Paths are absolute; ``params`` are those passed to the notebook."""

    model_config = ConfigDict(extra="forbid")

    key: str
    run: str
    experiment: str
    notebook: str
    folder: str
    params: dict[str, Value]
    start_timeout_s: int
    cell_timeout_s: int

    def save(self) -> Path:
        """Write it into the point's folder; gives the file."""
        path = Path(self.folder) / REQUEST_FILE
        atomic_write(path, self.model_dump_json(indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> PointRequest:
        """Read what ``save`` wrote. Raises ExperimentError for a file that is missing or damaged."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            cure = f"start it by `rx580lab run`, or unset {POINT_VARIABLE}"
            raise ExperimentError(str(path), f"the point's request cannot be read ({error}); {cure}") from error
