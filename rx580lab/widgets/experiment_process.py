"""What the experiment's form has done in a child process: ``run_spec``, its steps told as events.

Run by ``python -m``; the request comes and the events go by a ``Channel``. SIGTERM ends it as it ends ``rx580lab run``:
the point's processes are ended and the run is left killed, to be resumed.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from rx580lab.errors import LabError
from rx580lab.experiment import Progress, run_spec
from rx580lab.experiment.grammar import leave_out_iri_grammar
from rx580lab.widgets.channel import Channel

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run the experiment of the channel's request. 0 also for a run that failed: the events say so."""
    leave_out_iri_grammar()
    channel = Channel(arguments)
    request = channel.request

    def step(progress: Progress) -> None:
        fields = dataclasses.asdict(progress)
        channel.send(fields.pop("kind"), **fields)

    try:
        outcome = run_spec(
            Path(request["path"]),
            device=request["device"],
            overrides=request["overrides"],
            ci=request["ci"],
            mode=request["mode"],
            reports=Path(request["reports"]) if request["reports"] else None,
            progress=step,
        )
    except LabError as error:
        channel.send("refused", text=str(error))
        return 0
    channel.send("outcome", path=str(outcome.path), status=outcome.status, reason=outcome.reason)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
