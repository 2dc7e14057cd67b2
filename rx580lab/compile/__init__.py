"""From ``kernels/`` to something that can be launched: sources, builds, binary cache, tuned parameters."""

from rx580lab.compile.build import load_kernel, load_source, load_sources
from rx580lab.compile.kernel import Build, Kernel, Launch, LocalBytes, Parameter
from rx580lab.compile.locate import expanded_source, kernel_files, kernel_source, kernels_dir
from rx580lab.compile.tuned import TunedEntry, find_tuned, source_hash, tuned

__all__ = [
    "Build",
    "Kernel",
    "Launch",
    "LocalBytes",
    "Parameter",
    "TunedEntry",
    "expanded_source",
    "find_tuned",
    "kernel_files",
    "kernel_source",
    "kernels_dir",
    "load_kernel",
    "load_source",
    "load_sources",
    "source_hash",
    "tuned",
]
