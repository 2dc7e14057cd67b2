"""What batches bring: every answer is compared, and nothing that goes wrong is lost from the count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rx580lab as rx
from rx580lab.errors import InputError, ServeError
from rx580lab.experiment.server_calls import HEADER_LENGTH, binary_request, infer, outputs_of
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.experiment.server_sweep import sweep_batches
from rx580lab.experiment.serving_models import write_mlp

LIMITS = {"RX580LAB_SERVE_LIMITS__USER": "1000000", "RX580LAB_SERVE_LIMITS__ADAPTIVE": "false"}
Tensors = Mapping[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mlp(tmp_path_factory.mktemp("models"), widths=(16, 32, 4))


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[ServerProcess]:
    with ServerProcess.start(path.parents[2], device="pocl", roles=("user",), variables=LIMITS) as running:
        running.wait_ready()
        yield running


def given_inputs(rows: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": np.random.default_rng(3).standard_normal((rows, 16), dtype=np.float32)}


def test_every_answer_is_the_models(server: ServerProcess, path: Path) -> None:
    model = rx.load(path, "pocl")
    sweep = sweep_batches(server, "mlp", given_inputs(8), model.run, sizes=(1, 4), n_rounds=2, seconds=0.1)
    assert [(one.rows, one.clients) for one in sweep.sizes] == [(1, 1), (4, 1), (1, 4)]
    assert sweep.n_wrong == 0
    assert sweep.n_answers == sum(len(one.latencies_ms()) for one in sweep.sizes) > 10
    table = sweep.table()
    assert list(table["wrong"]) == [0, 0, 0]
    assert list(table["lost or refused"]) == [0, 0, 0]
    assert (table["rows/s"] > 0).all()
    assert "rows in a request" in sweep._repr_html_()
    assert sweep.drawing()._repr_png_().startswith(b"\x89PNG")
    assert len(repr(sweep)) < 1000


def test_a_wrong_oracle_is_noticed(server: ServerProcess, path: Path) -> None:
    model = rx.load(path, "pocl")

    def wrong(inputs: Tensors) -> Tensors:
        right = model.run(inputs)["y"].copy()
        right[5, 2] += 0.01
        return {"y": right}

    sweep = sweep_batches(server, "mlp", given_inputs(8), wrong, sizes=(4,), n_rounds=1, seconds=0.1)
    (alone, together) = sweep.sizes
    assert 0 < sum(one.n_wrong for one in alone.rounds) < len(alone.latencies_ms())
    assert 0 < sum(one.n_wrong for one in together.rounds) < len(together.latencies_ms())
    assert "differs by up to 0.01" in alone.rounds[0].wrong[0]


def test_refusals_are_counted_and_no_latency_is_made_of_them(server: ServerProcess, path: Path) -> None:
    sweep = sweep_batches(
        server, "no-such-model", given_inputs(2), rx.load(path, "pocl").run, sizes=(1,), n_rounds=1, seconds=0.05
    )
    row = sweep.table().iloc[0]
    assert row["answers"] == 0
    assert row["lost or refused"] > 0
    assert sweep.drawing()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("sizes", [(), (0,), (9,)])
def test_sizes_are_those_of_the_inputs(server: ServerProcess, sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected sizes from 1 to the 8 rows"):
        sweep_batches(server, "mlp", given_inputs(8), dict, sizes=sizes)


def test_by_hand_and_refused_in_the_servers_words(server: ServerProcess, path: Path) -> None:
    inputs = given_inputs(5)
    right = rx.load(path, "pocl").run(inputs)
    np.testing.assert_allclose(infer(server, "mlp", inputs)["y"], right["y"], rtol=1e-5, atol=1e-6)
    with pytest.raises(ServeError, match=r"got 404.*expected a model of this server"):
        infer(server, "none", inputs)
    with pytest.raises(ServeError, match="expected numbers or booleans in x"):
        binary_request({"x": np.array(["text"])})


def test_a_foreign_client_reads_it_alike(server: ServerProcess) -> None:
    """tritonclient's own writer and reader of bodies, on the same tensors."""
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

    inputs = given_inputs(3)
    asked = InferInput("x", [3, 16], "FP32")
    asked.set_data_from_numpy(inputs["x"])
    theirs, length = InferenceServerClient.generate_request_body([asked], outputs=[InferRequestedOutput("y")])
    ours, headers = binary_request(inputs)
    assert ours[int(headers[HEADER_LENGTH]) :] == theirs[length:]
    answer = server.call("/v2/models/mlp/infer", ours, role="user", headers=headers, raw=True)
    n_head = int(answer.headers[HEADER_LENGTH])
    read = InferenceServerClient.parse_response_body(answer.body, header_length=n_head)
    np.testing.assert_array_equal(outputs_of(answer.body, n_head)["y"], read.as_numpy("y"))


@given(hnp.arrays(st.sampled_from(["?", "i1", "u2", "<i4", ">i4", "i8", "f2", "<f4", ">f8"]), hnp.array_shapes()))
def test_tensors_survive_the_wire(sent: np.ndarray[Any, Any]) -> None:
    body, headers = binary_request({"x": sent})
    n_head = int(headers[HEADER_LENGTH])
    as_answer = body[:n_head].replace(b'"inputs"', b'"outputs"')
    found = outputs_of(as_answer + body[n_head:], len(as_answer))["x"]
    np.testing.assert_array_equal(found, sent)


@given(st.binary(max_size=60), st.integers(0, 80))
def test_what_is_no_answer_is_said(body: bytes, length: int) -> None:
    with pytest.raises(ServeError, match="binary outputs"):
        outputs_of(body, length)
