"""Where the shipped experiments and notebooks are: a checkout's folders, or the installed wheel's."""

from __future__ import annotations

from pathlib import Path

from rx580lab.errors import SpecError

__all__ = ["experiments_dir", "find_experiment"]


def experiments_dir() -> Path:
    """The folder of the shipped experiments, with their notebooks beside it under ``notebooks/``."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_share" / "experiments", package.parent / "experiments"):
        if place.is_dir():
            return place
    raise SpecError("experiment", "expected shipped experiments beside the package, got none; name a YAML file")


def find_experiment(name: str) -> Path:
    """The YAML file that ``name`` means: a path as it is, else a shipped one: ``bench/gemm``, ``gemm``.

    Raises SpecError that lists the shipped ones.
    """
    asked = Path(name)
    if asked.is_file():
        return asked
    shipped = experiments_dir()
    tail = name.removeprefix("experiments/").removesuffix(".yml")
    known = {str(path.relative_to(shipped).with_suffix("")): path for path in sorted(shipped.glob("*/*.yml"))}
    matches = [path for key, path in known.items() if tail in (key, key.partition("/")[2])]
    if len(matches) == 1:
        return matches[0]
    raise SpecError("experiment", f"expected a YAML file or one of {', '.join(known)}, got {name!r}")
