"""How many wavefronts of a kernel a SIMD of gfx803 holds: what registers, LDS and the size of the work-group allow.

Registers and granules: LLVM's AMDGPUBaseInfo for Volcanic Islands; work-groups per CU: the same; Mesa's cap of 8:
``ac_gpu_info.c``. Arithmetic only: nothing here was seen on a card.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["MESA_CAP", "Occupancy", "occupancy", "waves_by_sgprs", "waves_by_vgprs"]

WAVEFRONT = 64
SIMDS = 4
# Wavefronts per SIMD; Mesa holds Polaris to fewer.
MOST_WAVES = 10
MESA_CAP = 8
# VGPRs of a lane, and how many are given out at once.
VGPRS, VGPR_GRANULE = 256, 4
# Up to so many SGPRs allow so many wavefronts; beyond, 7.
SGPR_STEPS = ((80, 10), (88, 9), (100, 8))
# Bytes of a compute unit, and how many are given out at once.
LDS_BYTES, LDS_GRANULE = 65536, 512
# Work-groups that a compute unit keeps track of; those of a single wavefront need no barrier and are limited as waves.
MOST_GROUPS = 16


@dataclass(frozen=True)
class Occupancy:
    """Wavefronts per SIMD.

    Attributes:
        waves: with all limits at once and whole work-groups; a fraction where a compute unit's four SIMDs hold unequal
            numbers; 0 where not even one work-group fits.
        mesa_waves: the same under Mesa's cap of 8.
        by: what each limit alone would allow: ``vgprs``, ``sgprs``, ``lds``, ``groups``.
        limit: the name of the tightest one.
    """

    waves: float
    mesa_waves: float
    by: dict[str, float]
    limit: str


def waves_by_vgprs(vgprs: int) -> int:
    """Wavefronts per SIMD for so many VGPRs of a lane."""
    given = max(math.ceil(vgprs / VGPR_GRANULE) * VGPR_GRANULE, VGPR_GRANULE)
    return min(VGPRS // given, MOST_WAVES)


def waves_by_sgprs(sgprs: int) -> int:
    """Wavefronts per SIMD for so many SGPRs of a wavefront."""
    return next((waves for most, waves in SGPR_STEPS if sgprs <= most), 7)


def occupancy(vgprs: int, sgprs: int, lds_bytes: int, group: int) -> Occupancy:
    """What a SIMD holds of a kernel with these registers, LDS bytes of a work-group, and work-items of a group."""
    waves_of_group = math.ceil(group / WAVEFRONT)
    lds = math.ceil(lds_bytes / LDS_GRANULE) * LDS_GRANULE
    groups_by_lds = LDS_BYTES // lds if lds else MOST_WAVES * SIMDS
    most_groups = MOST_GROUPS if waves_of_group > 1 else MOST_WAVES * SIMDS
    by = {
        "vgprs": float(waves_by_vgprs(vgprs)),
        "sgprs": float(waves_by_sgprs(sgprs)),
        "lds": min(groups_by_lds * waves_of_group / SIMDS, float(MOST_WAVES)),
        "groups": min(most_groups * waves_of_group / SIMDS, float(MOST_WAVES)),
    }
    limit = min(by, key=lambda name: by[name])
    return Occupancy(
        waves=_whole_groups(min(by.values()), waves_of_group),
        mesa_waves=_whole_groups(min(*by.values(), MESA_CAP), waves_of_group),
        by=by,
        limit=limit,
    )


def _whole_groups(waves: float, waves_of_group: int) -> float:
    return int(waves * SIMDS) // waves_of_group * waves_of_group / SIMDS
