"""Every kernel that the card would be given, of every op; and how people and programs see one."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import rx580lab as rx
from rx580lab import cli, ops
from rx580lab.compile import Build, expanded_source, load_source
from rx580lab.compile.build import OPTIONS
from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.polaris import NOT_RUN, KernelView, occupancy, view
from rx580lab.polaris.builds import PlannedKernel, gpu_templates, planned_kernels
from rx580lab.polaris.kernel_view import view_kernel
from rx580lab.polaris.toolchain import compile_build
from tests.polaris.test_checks import PLANTED
from tests.requirements import require

COMMENTS = re.MULTILINE | re.DOTALL
TEMPLATES = [(op, template.name) for op in ops.NAMES for template in gpu_templates(ops.spec(op))]


@pytest.fixture(scope="module")
def planner() -> Device:
    require("ziglang")
    return rx.open_device("pocl", limits="rx580")


@pytest.mark.parametrize(("op", "template"), TEMPLATES)
def test_every_kernel_for_the_card_passes_all_checks(op: str, template: str, planner: Device) -> None:
    for planned in planned_kernels(ops.spec(op), ops.spec(op).template(template), planner):
        compiled = compile_build(planned.build)
        one = view_kernel(op, planned, compiled)
        assert (one.kernel, [str(fault) for fault in one.faults]) == (planned.build.entry, [])
        assert one.occupancy.waves >= 1, one.kernel
        assert one.lds_bytes <= 32768, one.kernel
        agrees_with_the_compiler(one, compiled.isa)


def agrees_with_the_compiler(one: KernelView, isa: str) -> None:
    """LLVM leaves loops and wavefronts in comments that we do not read, the latter for the largest group allowed."""
    commented = isa[isa.index(f"\n{one.kernel}:") :]
    inner = re.findall(r"^(\.L\w+):(?:(?!^[.\t]).)*=>\s*This Inner Loop Header", _until_end(commented), COMMENTS)
    assert [loop.label for loop in one.loops] == inner
    found = one.resources
    group = found.max_group if found.group is None else math.prod(found.group)
    waves = occupancy(found.vgprs, found.sgprs, found.lds_bytes, group).waves
    # It counts whole wavefronts: what is a fraction here, since SIMDs hold unequal numbers, it rounds up.
    assert re.findall(r"; Occupancy: (\d+)", commented)[0] == f"{math.ceil(waves)}"


def _until_end(function: str) -> str:
    return function.partition(".Lfunc_end")[0]


def test_the_figures_of_a_kernel_are_those_of_its_build(planner: Device) -> None:
    one = next(one for one in view("fma_peak", ["gpu"], device=planner) if one.kernel == "fma_peak_gpu")
    assert (one.source, one.group, one.lds_bytes) == ("fma_peak.cl", (256,), 0)
    assert one.macros == {"WG_X": "256", "VEC": "4", "CHAINS": "4", "UNROLL_K": "8"}
    assert 16 < one.resources.vgprs <= 24  # 16 chains
    assert (one.occupancy.waves, one.occupancy.mesa_waves) == (10, 8)
    assert one.hot_loop is not None
    assert one.hot_loop.mix.multiply_add == 128  # 8 steps of 16 chains
    assert one.hot_loop.pressure.peak_share == 1
    assert one.mix.multiply_add == one.isa.count("v_mac_f32") + one.isa.count("v_mad_f32")
    assert "clang version 18.1.6" in one.compiler


def test_several_builds_of_one_source_are_several_views(planner: Device) -> None:
    views = view("softmax", ["wave"], device=planner)
    assert len({tuple(one.macros.items()) for one in views}) == len(views)
    vgprs = {n: max(one.resources.vgprs for one in views if one.macros["PER_ITEM"] == n) for n in ("1", "4", "16")}
    assert vgprs["1"] < vgprs["4"] < vgprs["16"]


def test_parameters_are_those_that_the_op_takes(planner: Device) -> None:
    (one,) = view("triad", ["gpu"], params={"WG_X": 64, "PER_ITEM": 4}, device=planner)
    assert (one.macros["WG_X"], one.macros["PER_ITEM"], one.group) == ("64", "4", (64,))
    assert one.mix.multiply_add == 4 * 4 + 4  # vectors of four, and a loop for each one's rest
    with pytest.raises(InputError, match="expected parameters among WG_X, VEC, PER_ITEM"):
        view("triad", ["gpu"], params={"TILE_M": 3}, device=planner)


def test_local_memory_by_argument_counts(pocl: Device) -> None:
    require("ziglang")
    text = "__kernel void f(__global float *x, __local float *t) { t[get_local_id(0)] = x[0]; x[1] = t[3]; }"
    launch = load_source(pocl, text, "f", where="f.cl").bind((64,), (64,), pocl.zeros(4), rx.compile.LocalBytes(33000))
    planned = PlannedKernel("own", launch.build, launch.local_size, launch.dynamic_lds_bytes)
    one = view_kernel("own", planned, compile_build(launch.build))
    assert (one.lds_bytes, one.group, one.occupancy.waves) == (33000, (64,), 0.25)
    assert np.isfinite(one.occupancy.by["lds"])


def test_a_template_for_processors_is_refused(planner: Device) -> None:
    with pytest.raises(InputError, match=r"\[polaris\] expected a template of copy for the card among plain, gpu, got"):
        view("copy", ["cpu"], device=planner)
    with pytest.raises(InputError, match="expected a template among"):
        view("copy", ["no"], device=planner)


def test_a_template_made_of_other_ops_is_left_to_them(planner: Device) -> None:
    assert "unfused" not in {template.name for template in gpu_templates(ops.spec("attention"))}
    with pytest.raises(InputError, match="got 'unfused', which is for processors or made of other ops"):
        view("attention", ["unfused"], device=planner)


def test_a_notebook_shows_a_table_and_a_kernel_in_full(planner: Device) -> None:
    views = view("softmax", ["gpu"], device=planner)
    assert all(word in views._repr_html_() for word in ("softmax_gpu", "VGPR", "pass", NOT_RUN))
    assert all(word in views[0]._repr_html_() for word in ("whole kernel", "VALU clocks", "Mesa", views[0].compiler))


def invoke(*arguments: str) -> Result:
    require("ziglang")
    return CliRunner().invoke(cli.app, ["polaris", *arguments], env={"COLUMNS": "80", "TERM": "dumb"})


def test_the_command_for_people() -> None:
    result = invoke("gemm", "--template", "gpu", "--isa")
    assert result.exit_code == 0, result.output
    shown = ("pass gemm_gpu", " VGPR", "8,448 bytes of LDS", "256 multiply-add", "clang version 18.1.6", NOT_RUN)
    assert [words for words in shown if words not in result.output] == []
    assert "v_mac_f32_e32" in result.output


def test_the_command_for_programs() -> None:
    result = invoke("fma_peak", "copy", "--json")
    assert result.exit_code == 0, result.output
    listed = {one["kernel"]: one for one in json.loads(result.stdout)}
    assert set(listed) == {"fma_peak_plain", "fma_peak_gpu", "copy_plain", "copy_gpu"}
    peak = listed["fma_peak_gpu"]
    assert (peak["ok"], peak["faults"], peak["note"], peak["op"]) == (True, [], NOT_RUN, "fma_peak")
    assert (peak["occupancy"]["by"]["vgprs"], peak["hot_loop"]) == (10, peak["loops"][0]["label"])
    assert peak["loops"][0]["mix"]["multiply_add"] == 128
    assert (listed["copy_plain"]["hot_loop"], listed["copy_plain"]["loops"]) == (None, [])


def test_the_command_fails_with_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    text = expanded_source(PLANTED["scratch"], "bad.cl")
    planned = PlannedKernel("gpu", Build("bad.cl", "f", text, OPTIONS), (64,), 0)
    monkeypatch.setattr("rx580lab.polaris.kernel_view.planned_kernels", lambda *_: [planned])
    result = invoke("gemm", "--template", "gpu")
    assert result.exit_code == 1
    assert "FAIL f: scratch: 260 bytes of private memory" in " ".join(result.output.split())
    assert json.loads(invoke("gemm", "-t", "gpu", "--json").stdout)[0]["faults"][0]["check"] == "scratch"


def test_the_command_refuses_what_is_not_there() -> None:
    assert "expected one of" in invoke("gem").output
    assert invoke("gem").exit_code == 1
