"""Views of kernels for people: lines for a terminal, a table for a notebook, and one kernel in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.text import Text

from rx580lab.polaris.checks import CHECKS
from rx580lab.polaris.cycles import Mix
from rx580lab.polaris.kernel_view import NOT_RUN, KernelView, LoopView
from rx580lab.results.display import Html, badge, card, facts, quantity, table

__all__ = ["kernel_html", "name_of", "views_html", "views_lines"]

_HEADINGS = ("kernel", "VGPR", "SGPR", "LDS", "group", "waves", "Mesa", "hot loop", "MAC %", "peak %", "checks")
_LIMITS = {"vgprs": "VGPR", "sgprs": "SGPR", "lds": "LDS", "groups": "work-groups"}


def views_lines(views: Sequence[KernelView]) -> Iterator[Text]:
    """The compiler, some lines per kernel, what was not done, and every check that failed."""
    for compiler, options in dict.fromkeys((one.compiler, one.options) for one in views):
        yield Text(f"By {compiler}, {' '.join(options)}, a*b+c contracted:")
    for one in views:
        yield from _lines(one)
    yield Text(
        "A loop's figures are of one turn through all of its blocks, its clocks a SIMD's for one wavefront by a table. "
        "VALU or LDS, whichever takes longer, bounds the share of the card's multiply-add peak."
    )
    yield Text(NOT_RUN)
    failed = [(one, fault) for one in views for fault in one.faults]
    for one, fault in failed:
        yield Text(f"FAIL {name_of(one)}: {fault} (expected: {CHECKS[fault.check]})", "red")
    yield Text(f"kernels: {len(views)}, of which fail: {sum(not one.ok for one in views)}")


def _lines(one: KernelView) -> Iterator[Text]:
    verdict = ("pass", "green") if one.ok else ("FAIL", "red")
    yield Text.assemble(verdict, " ", (one.kernel, "bold"), f" ({one.source}), template {one.template} of {one.op}")
    if one.macros:
        yield Text("     " + _macros(one))
    found, waves = one.resources, one.occupancy
    yield Text(
        f"     {found.vgprs} VGPR, {found.sgprs} SGPR, {one.lds_bytes:,} bytes of LDS, group {_group(one)}: "
        f"{waves.waves:g} waves per SIMD (by {_LIMITS[waves.limit]}), {waves.mesa_waves:g} under Mesa"
    )
    yield Text(f"     all of it: {_counts(one.mix)}")
    hot = one.hot_loop
    if hot is None:
        yield Text("     no loop")
        return
    spent = hot.pressure
    clocks = f"{spent.issue_clocks} clocks to issue ({spent.valu_clocks} VALU), {spent.lds_clocks} of LDS"
    yield Text(f"     hot loop {hot.label} of {len(one.loops)}: {_counts(hot.mix)}; {clocks}; {_shares(hot)}")


def _counts(mix: Mix) -> str:
    counted = {name: n for name, n in asdict(mix).items() if n}
    parts = ", ".join(f"{n} {name.replace('_', '-')}" for name, n in counted.items())
    return f"{mix.total} instructions ({parts})"


def name_of(one: KernelView) -> str:
    """The kernel with its macros: one source gives several."""
    return f"{one.kernel} [{_macros(one)}]" if one.macros else one.kernel


def _macros(one: KernelView) -> str:
    return ", ".join(f"{name}={value}" for name, value in one.macros.items())


def _group(one: KernelView) -> str:
    return "x".join(map(str, one.group))


def _cells(one: KernelView) -> tuple[object, ...]:
    hot, waves = one.hot_loop, one.occupancy
    macs = hot is not None and hot.mix.multiply_add > 0
    return (
        name_of(one),
        one.resources.vgprs,
        one.resources.sgprs,
        one.lds_bytes,
        _group(one),
        waves.waves,
        waves.mesa_waves,
        None if hot is None else hot.mix.total,
        round(100 * hot.multiply_add_share) if hot is not None and macs else None,
        round(100 * (hot.pressure.peak_share or 0)) if hot is not None and macs else None,
        _verdict(one),
    )


def _shares(loop: LoopView) -> str:
    if not loop.mix.multiply_add or loop.pressure.peak_share is None:
        return "no multiply-add"
    return f"{loop.multiply_add_share:.0%} multiply-add, at most {loop.pressure.peak_share:.0%} of peak"


def views_html(views: Sequence[KernelView]) -> str:
    """The table as a notebook shows it."""
    known = {
        "compiler": ", ".join(dict.fromkeys(one.compiler for one in views)),
        "waves": "wavefronts per SIMD, of at most 10; Mesa: under its cap of 8",
        "hot loop": "instructions of one turn; MAC: multiply-adds among them; peak: at most so much of the card's, "
        "as VALU and LDS leave room for",
        "LDS": "bytes of a work-group",
        "note": NOT_RUN,
    }
    return card("What gfx803 would run", table(_HEADINGS, map(_cells, views)), facts(known))


def _verdict(one: KernelView) -> Html:
    return badge("pass", "good") if one.ok else badge("; ".join(map(str, one.faults)), "bad")


def kernel_html(one: KernelView) -> str:
    """One kernel in full: resources, what limits its wavefronts, and its instructions, whole and by loop."""
    found = one.resources
    known = {
        "checks": _verdict(one),
        "compiler": f"{one.compiler}, {' '.join(one.options)}",
        "group": _group(one),
        "VGPR": f"{found.vgprs}, {found.vgpr_spills} spilled",
        "SGPR": f"{found.sgprs}, {found.sgpr_spills} spilled",
        "LDS of a group": quantity(one.lds_bytes, "bytes"),
        "scratch of a work-item": quantity(found.scratch_bytes, "bytes"),
        "wavefronts per SIMD": f"{one.occupancy.waves:g}, {one.occupancy.mesa_waves:g} under Mesa's cap of 8",
        "allowed by": ", ".join(f"{_LIMITS[name]} {waves:g}" for name, waves in one.occupancy.by.items()),
        "note": NOT_RUN,
    }
    stretches = [("whole kernel", one.mix, None)] + [(loop.label, loop.mix, loop.pressure) for loop in one.loops]
    kinds = list(asdict(one.mix))
    rows = [
        (
            label,
            *(getattr(mix, kind) for kind in kinds),
            None if pressure is None else pressure.valu_clocks,
            None if pressure is None else pressure.lds_clocks,
            None if pressure is None else pressure.issue_clocks,
        )
        for label, mix, pressure in stretches
    ]
    headings = (
        "instructions of",
        *(kind.replace("_", " ") for kind in kinds),
        "VALU clocks",
        "LDS clocks",
        "all clocks",
    )
    return card(f"{name_of(one)} ({one.source})", facts(known), table(headings, rows))
