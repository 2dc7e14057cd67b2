"""Wavefronts per SIMD against the published thresholds."""

from __future__ import annotations

import pytest

from rx580lab.polaris.occupancy import occupancy, waves_by_sgprs, waves_by_vgprs

# LLVM's AMDGPUBaseInfo: the most VGPRs for so many wavefronts.
MOST_VGPRS = {10: 24, 9: 28, 8: 32, 7: 36, 6: 40, 5: 48, 4: 64, 3: 84, 2: 128, 1: 256}


@pytest.mark.parametrize(("waves", "most"), MOST_VGPRS.items())
def test_vgprs(waves: int, most: int) -> None:
    assert (waves_by_vgprs(most), waves_by_vgprs(most - 3)) == (waves, waves)
    assert waves_by_vgprs(most + 1) == waves - 1


def test_sgprs() -> None:
    assert [waves_by_sgprs(n) for n in (1, 80, 81, 88, 89, 100, 101, 102)] == [10, 10, 9, 9, 8, 8, 7, 7]


@pytest.mark.parametrize(
    ("vgprs", "lds_bytes", "group", "waves", "mesa", "limit"),
    [
        (24, 0, 256, 10, 8, "vgprs"),
        (65, 0, 256, 3, 3, "vgprs"),
        (24, 32768, 256, 2, 2, "lds"),  # two groups a compute unit, one wavefront of each on every SIMD
        (24, 8448, 256, 7, 7, "lds"),  # 16.5 granules of 512 bytes
        (24, 8449, 256, 7, 7, "lds"),
        (24, 9217, 256, 6, 6, "lds"),
        (24, 65536, 64, 0.25, 0.25, "lds"),  # a single wavefront for four SIMDs
        (24, 0, 64, 10, 8, "vgprs"),  # 40 groups of one wavefront
        (24, 0, 128, 8, 8, "groups"),  # 16 groups of two
        (48, 0, 192, 4.5, 4.5, "vgprs"),  # 20 places hold six groups of three
        (65, 0, 1024, 0, 0, "vgprs"),  # 16 wavefronts must be there at once, and there are 12 places
        (24, 65537, 64, 0, 0, "lds"),
        (4, 0, 1, 10, 8, "vgprs"),
    ],
)
def test_all_limits_together(vgprs: int, lds_bytes: int, group: int, waves: float, mesa: float, limit: str) -> None:
    found = occupancy(vgprs, 16, lds_bytes, group)
    assert (found.waves, found.mesa_waves, found.limit) == (waves, mesa, limit)
