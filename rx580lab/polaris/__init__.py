"""What an RX 580 would really run: kernels compiled to gfx803 code, their registers, wavefronts and instructions.

``view("gemm")`` compiles what the op's templates build, by a clang that pip brings (``rx580lab[linker]``), and counts.
Four checks refuse code that only seems whole, two more hold the house's rules; ``rx580lab polaris`` prints it all.
Nothing here needs a card, and nothing was run on one: counts are exact for this compiler, clocks are estimates.
"""

from rx580lab.polaris.checks import CHECKS, Fault
from rx580lab.polaris.cycles import Mix, Pressure
from rx580lab.polaris.isa import Resources
from rx580lab.polaris.kernel_view import NOT_RUN, KernelView, KernelViews, LoopView, view
from rx580lab.polaris.occupancy import Occupancy, occupancy

__all__ = [
    "CHECKS",
    "NOT_RUN",
    "Fault",
    "KernelView",
    "KernelViews",
    "LoopView",
    "Mix",
    "Occupancy",
    "Pressure",
    "Resources",
    "occupancy",
    "view",
]
