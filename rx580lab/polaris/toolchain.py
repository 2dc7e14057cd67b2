"""OpenCL C -> gfx803 code, by the clang that pip's ``ziglang`` carries: no ROCm, no card, nothing is executed.

What is compiled is a build's own text and options behind ``kernels/include/gfx803_shim.h``, whose builtins are
stand-ins for a driver's. A clean exit of the compiler proves nothing, so the object is also linked, with the kernel in
question as the only one of its file that must be whole.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rx580lab.compile import Build, expanded_source
from rx580lab.device import cache_dir
from rx580lab.errors import BuildError, CompilerUnavailable
from rx580lab.results.files import atomic_write

__all__ = ["ZIGLANG", "Compiled", "compile_build"]

# The only release that will do: later ones lack OpenCL's header and emit a second body of each kernel.
ZIGLANG = "0.13.0"
_TARGET = ("-target", "amdgcn-amd-amdhsa", "-mcpu=gfx803")
# Contraction of a*b+c is clang's default for OpenCL, and include/mac.h asks for it. -O3 is what drivers build with.
_COMPILE = ("-x", "cl", "-O3", "-nogpulib", "-Xclang", "-finclude-default-header", "-ffunction-sections", "-w", "-S")
# The other kernels of the file are left out: what they lack is not this one's fault.
_LINK = ("-shared", "--gc-sections")
_TIMEOUT_S = 300
# A kernel's descriptor refers to its code. In sections of their own, those of other kernels can be left out.
_DESCRIPTOR = re.compile(r'\.section\t\.rodata,"a",@progbits(\n[^\n]*\n\s*\.amdhsa_kernel (\S+))')
_IDENT = re.compile(r'\.ident\s+"(clang version [0-9.]+)')


@dataclass(frozen=True)
class Compiled:
    """A build's assembly for gfx803. ``link_error`` is the linker's complaint, None when it links."""

    build: Build
    isa: str
    link_error: str | None
    compiler: str


def compile_build(build: Build) -> Compiled:
    """Compiles and links, or takes both from the cache of an earlier time: text, options and compiler were the same.

    Raises CompilerUnavailable without the right ziglang, BuildError with clang's log when the text does not compile.
    """
    include = _opencl_headers()
    text = expanded_source('#include "gfx803_shim.h"\n', "gfx803_shim.h") + build.text
    command = [*_COMPILE, *_TARGET, *build.options, "-isystem", "<headers>"]
    key = json.dumps([text, build.entry, command, _LINK, ZIGLANG])
    path = cache_dir("gfx803") / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    found = _read(path)
    if found is None:
        isa = _assembly(build, text, [*command[:-1], str(include)])
        found = {"isa": isa, "link_error": _link_error(isa, build.entry)}
        atomic_write(path, json.dumps(found), lasting=False)
    isa = str(found["isa"])
    return Compiled(build, isa, found["link_error"], _compiler(isa))


def _opencl_headers() -> Path:
    spec = importlib.util.find_spec("ziglang")
    cure = f"install it by: pip install 'rx580lab[linker]' (or ziglang=={ZIGLANG})"
    if spec is None or spec.origin is None:
        raise CompilerUnavailable("polaris", f"expected ziglang {ZIGLANG}, which holds clang, got none; {cure}")
    version = metadata.version("ziglang")
    if version != ZIGLANG:
        raise CompilerUnavailable(
            "polaris", f"expected ziglang {ZIGLANG}, got {version}, whose clang will not do; {cure}"
        )
    return Path(spec.origin).parent / "lib" / "include"


def _compiler(isa: str) -> str:
    found = _IDENT.search(isa)
    return f"{found.group(1) if found else 'clang of unknown version'} (ziglang {ZIGLANG}) for gfx803"


def _read(path: Path) -> dict[str, str | None] | None:
    """What was kept, or None if there is nothing or it is damaged."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("isa"), str) and "link_error" in found else None


def _assembly(build: Build, text: str, options: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="rx580lab-gfx803-") as folder:
        source, made = Path(folder) / "kernel.cl", Path(folder) / "kernel.s"
        source.write_text(text, encoding="utf-8")
        done = _zig("clang", *options, "-o", str(made), str(source))
        if done.returncode != 0:
            raise BuildError(build.where, f"did not compile for gfx803 by ziglang {ZIGLANG}", done.stderr.strip())
        return made.read_text(encoding="utf-8")


def _link_error(isa: str, entry: str) -> str | None:
    """Links ``entry`` alone, with whatever it reaches; the linker's first line of complaint, None when it is whole."""
    with tempfile.TemporaryDirectory(prefix="rx580lab-gfx803-") as folder:
        source, made, exported = (Path(folder) / f"kernel.{suffix}" for suffix in ("s", "o", "map"))
        source.write_text(_DESCRIPTOR.sub(r'.section\t.rodata.\2,"a",@progbits\1', isa), encoding="utf-8")
        exported.write_text(f"{{ global: {entry}; {entry}.kd; local: *; }};\n", encoding="utf-8")
        steps = (
            ("clang", *_TARGET, "-x", "assembler", "-c", "-o", str(made), str(source)),
            ("ld.lld", *_LINK, "--version-script", str(exported), str(made),
             "-o", str(made.with_suffix(".hsaco"))),
        )  # fmt: skip
        for step in steps:
            done = _zig(*step)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or [f"{step[0]} ended with {done.returncode}"]
                return said[0].replace(str(made), "kernel.o").removeprefix("ld.lld: error: ")
    return None


def _zig(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ziglang", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
