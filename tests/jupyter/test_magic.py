"""``%%opencl`` in a shell of its own: kernels by name, errors at the cell's lines, benches that can be ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from rx580lab.compile import Kernel
from rx580lab.device import Device
from rx580lab.errors import BuildError, DtypeError, InputError, LabError, LaunchFailed, MeasureError
from rx580lab.experiment.request import POINT_VARIABLE
from rx580lab.jupyter import bench_request, cell_bench
from rx580lab.jupyter.cell import explained, parse_line
from rx580lab.jupyter.magic import CellResult, OpenclCell

SCALE = """__kernel void scale(__global const float *x, __global float *y, const float a)
{
    y[get_global_id(0)] = a * x[get_global_id(0)];
}"""
BENCH = "--bench --oracle scaled --args x y 2.0 --samples 5 --time-limit 100"


@pytest.fixture
def shell(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell with the magic loaded and some arrays in its names."""
    # Benches of tests wait for nobody: a timing lock is the machine's.
    monkeypatch.setenv(POINT_VARIABLE, "test")
    found = InteractiveShell()
    found.run_cell("%load_ext rx580lab")
    x = np.arange(1000, dtype=np.float32)
    found.push({"device": pocl, "x": x, "y": np.zeros_like(x), "scaled": lambda x, a: x.astype(np.float64) * a})
    yield found
    found.run_cell("%unload_ext rx580lab")
    assert found.find_cell_magic("opencl") is None


def ran(shell: InteractiveShell, line: str, body: str) -> CellResult:
    done = shell.run_cell(f"%%opencl {line}\n{body}")
    if done.error_in_exec is not None:
        raise done.error_in_exec
    result = done.result
    assert isinstance(result, CellResult)
    return result


def test_kernels_go_by_their_names(shell: InteractiveShell) -> None:
    result = ran(shell, "", SCALE + "\n__kernel void other(__global int *z) { z[0] = 7; }")
    assert set(result.kernels) == {"scale", "other"}
    assert isinstance(shell.user_ns["scale"], Kernel)
    device = shell.user_ns["device"]
    out = device.zeros(1, np.int32)
    shell.user_ns["other"].launch([1], None, out)
    assert out.download()[0] == 7
    assert "scale(global const float* x, global float* y, float a)" in repr(result)


def test_a_name_that_was_something_else_is_told(shell: InteractiveShell) -> None:
    shell.push({"scale": 3})
    assert "scale was a int and is the kernel now" in ran(shell, "", SCALE).notes


def test_a_build_error_is_at_the_line_of_the_cell(shell: InteractiveShell) -> None:
    with pytest.raises(BuildError) as caught:
        ran(shell, "", "\n__kernel void broken(__global float *y)\n{\n    y[0] = z;\n}")
    assert "line 5, column 12: error: use of undeclared identifier 'z'" in caught.value.log
    assert "    5 |     y[0] = z;\n      |            ^" in caught.value.log
    rendered = caught.value.__dict__["_render_traceback_"]()
    assert len(rendered) < 8
    assert "broken" not in shell.user_ns


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("cell:3:5: error: no", "line 3, column 5: error: no\n    3 | second\n      |     ^"),
        ("error: cell:3:5: no", "line 3, column 5: error: no\n    3 | second\n      |     ^"),
        ('"cell", line 2: warning: odd', "line 2: warning: odd\n    2 | first"),
        ("cell:99:1: error: past the end", "line 99, column 1: error: past the end"),
        ("mac.h:3:5: error: no", "mac.h:3:5: error: no"),
        ("excel:3:5: error: no", "excel:3:5: error: no"),
    ],
)
def test_messages_of_compilers_are_understood(message: str, said: str) -> None:
    assert explained(message, "first\nsecond") == said


def test_macros_headers_and_options_reach_the_compiler(shell: InteractiveShell) -> None:
    body = '#include "mac.h"\n__kernel void f(__global float *y) { y[0] = N * M; }'
    shell.push({"n": 20})
    ran(shell, "-D N=n+1 -D M --option=-w", body)
    out = shell.user_ns["device"].zeros(1)
    shell.user_ns["f"].launch([1], None, out)
    assert out.download()[0] == 21


def test_a_bench_checks_times_and_compares_with_the_kernel_before(shell: InteractiveShell) -> None:
    result = ran(shell, BENCH, SCALE)
    assert result.ok
    assert [one.contestant for one in result.series] == ["scale"]
    assert result.checks[0].n_values == 1000
    wide = SCALE.replace("float *", "float4 *")
    again = ran(shell, f"{BENCH} --global x.size//4 --against scale", wide)
    assert [one.contestant for one in again.checks] == ["scale", "scale (before)"]
    assert [(one.contestant, one.baseline) for one in again.comparisons] == [("scale", "scale (before)")]
    shown = again._repr_html_()
    assert again.comparisons[0].verdict in shown
    assert again.comparisons[0].verdict in repr(again)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (SCALE.replace("a *", "1.001f * a *"), "beyond tolerance"),
        (SCALE.replace("{\n", "{ if (get_global_id(0) < 10)\n"), "never written"),
        (SCALE.replace("y[get_global_id(0)] =", "y[1000] = 0; y[get_global_id(0)] ="), "after the end"),
    ],
)
def test_a_wrong_output_is_never_timed(shell: InteractiveShell, body: str, reason: str) -> None:
    with pytest.raises(MeasureError, match=f"so it was not timed: .*{reason}"):
        ran(shell, BENCH, body)
    with pytest.raises(InputError, match="none yet"):
        ran(shell, f"{BENCH} --against scale", SCALE)


def test_a_kernel_that_never_ends_is_ended_and_the_shell_lives_on(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCL_MAX_PTHREAD_COUNT", "1")  # one core is enough to spin
    body = SCALE.replace("float *y", "volatile float *y").replace("{\n", "{ while (y[0] != a) y[1] += 1;\n")
    line = BENCH.replace("--time-limit 100", "--time-limit 10")
    with pytest.raises(MeasureError, match="did not end within 10 s"):
        ran(shell, line, body)
    assert shell.run_cell("1 + 1").result == 2


def test_a_bench_whose_process_dies_says_how(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    # A driver that crashes, stood in for: the child cannot load its very first library.
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(LaunchFailed, match="its process ended with exit status"):
        ran(shell, BENCH, SCALE)


def test_an_error_of_the_process_is_raised_here(shell: InteractiveShell) -> None:
    with pytest.raises(LabError, match="expected a local size that divides"):
        ran(shell, f"{BENCH} --local 7", SCALE)


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("--bench --args x y 2.0", InputError, "expected --oracle"),
        ("--bench --oracle scaled --args x y", InputError, "expected --args for scale"),
        ("--bench --oracle scaled --args 1 y 2.0", InputError, r"expected an array for float\* x"),
        ("--bench --oracle scaled --args x.astype(int) y 2.0", DtypeError, "expected x of float32, got int64"),
        ("--bench --oracle scaled --args x y x", InputError, "expected a number for float a"),
        ("--bench --oracle scaled --args x y 2.0 --out x", InputError, "expected --out among y"),
        ("--bench --oracle scaled --args x y[:5] 2.0", InputError, r"the output's shape \(5,\), got \(1000,\)"),
        ("--bench --oracle scaled --args x y 2.0 --time-limit 0", InputError, "above 0 s"),
        ("--nonsense", InputError, "nonsense"),
        ("--args 'x", InputError, "quotes close"),
        ("other --bench", InputError, "expected which of scale to time"),
        ("--device 7", InputError, "expected a Device or its name"),
    ],
)
def test_what_does_not_fit_is_named(shell: InteractiveShell, line: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        ran(shell, line, SCALE)


def test_integers_and_local_memory_are_converted_by_declaration(shell: InteractiveShell) -> None:
    body = """__kernel void shifted(__global const int *k, __global int *out, __local int *tmp, const uint by)
    {
        const size_t i = get_local_id(0);
        tmp[i] = k[get_global_id(0)];
        barrier(CLK_LOCAL_MEM_FENCE);
        out[get_global_id(0)] = tmp[i] << by;
    }"""
    k = np.arange(256, dtype=np.int32)
    shell.push({"k": k, "o": np.zeros_like(k), "left": lambda k, by: k << by})
    line = "--bench --oracle left --args k o 64*4 3 --local 64 --samples 3 --tolerance 0"
    assert ran(shell, line, body).ok
    with pytest.raises(InputError, match=r"expected a uint for by, got 2\.5"):
        ran(shell, line.replace(" 3 --local", " 2.5 --local"), body)


def test_a_companion_of_the_oracle_gives_the_tolerance(shell: InteractiveShell) -> None:
    shell.push({"scaled_tolerance": lambda x, _: np.full(x.shape, 5.0)})
    result = ran(shell, BENCH, SCALE.replace("a * x[get_global_id(0)]", "a * x[get_global_id(0)] + 4"))
    assert result.checks[0].tolerance == "scaled_tolerance(...), per value"
    assert result.checks[0].worst_share == pytest.approx(0.8)


def test_help_lists_every_option(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%opencl")
    said = capsys.readouterr().out
    for option in ("--bench", "--oracle", "--args", "--against", "--time-limit", "-D", "--global", "--local"):
        assert option in said


def test_the_process_writes_errors_of_ours_as_data(tmp_path: Path, pocl: Device) -> None:
    request: dict[str, Any] = {"device": "no-such-device", "limits": pocl.emulated.as_dict(), "entries": []}
    (tmp_path / bench_request.REQUEST_FILE).write_text(json.dumps(request))
    np.savez(tmp_path / bench_request.ARRAYS_FILE)
    assert cell_bench.main([str(tmp_path)]) == 0
    answer = json.loads((tmp_path / bench_request.RESULT_FILE).read_text())
    assert answer["error"]["kind"] == "DeviceNotFound"


def test_a_cell_that_is_meant_to_go_wrong_must(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell("%%opencl --goes-wrong\n__kernel void f(__global float *y) { y[0] = z; }")
    assert done.success
    assert "line 2, column 45: error: use of undeclared identifier 'z'" in capsys.readouterr().out
    with pytest.raises(InputError, match="expected this cell to go wrong"):
        ran(shell, "--goes-wrong", SCALE)


def test_values_may_hold_blanks_in_quotes() -> None:
    assert parse_line('--args "x + 1" y').args == ["x + 1", "y"]


def test_without_a_device_in_the_notebook_one_is_opened_once(shell: InteractiveShell) -> None:
    del shell.user_ns["device"]
    magic = OpenclCell(shell)
    assert magic._chosen_device(parse_line("")) is magic._chosen_device(parse_line(""))
