"""``python -m rx580lab.jupyter``: JupyterLab at the tour, as ``make lab`` opens it. More arguments go to JupyterLab.

Nothing is asked of the network: no news, no look for updates, no list of extensions. That holds for this start only;
the person's own JupyterLab settings are left alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rx580lab.experiment.places import experiments_dir
from rx580lab.results.folder import REPORTS_VARIABLE, reports_root

__all__ = ["lab_arguments", "main"]

TOUR = "notebooks/tour/01_quickstart.ipynb"


def lab_arguments(extra: Sequence[str] = ()) -> list[str]:
    """JupyterLab's command line; what ``extra`` says of an option holds."""
    ours = [
        f"--ServerApp.root_dir={experiments_dir().parent}",
        f"--LabApp.default_url=/lab/tree/{TOUR}",
        f"--LabApp.app_settings_dir={Path(__file__).parent / 'settings'}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    said = {word.partition("=")[0] for word in extra}
    return [*(word for word in ours if word.partition("=")[0] not in said), *extra]


def main() -> None:
    """Start JupyterLab in this process; runs of all notebooks are kept in one place, ``./reports`` from here."""
    from jupyterlab.labapp import LabApp

    # A notebook's own folder is its current one: without this, each would keep its runs beside itself.
    os.environ[REPORTS_VARIABLE] = str(reports_root().resolve())
    LabApp.launch_instance(lab_arguments(sys.argv[1:]))


if __name__ == "__main__":
    main()
