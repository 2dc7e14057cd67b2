"""Models at work: which rows share a launch, what a version says of itself, and room for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rx580lab.experiment.serving_models import write_mlp
from rx580lab.models import export
from rx580lab.serve.inference import Inference, Result
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.repository import Repository
from rx580lab.serve.settings import Batching, Waiting
from tests.serve import small_models
from tests.serve.machine import SOON_S
from tests.serve.repositories import Make, loaded, repositories

X = np.array([[1, 2, 3]], np.float32)
WIDTHS = (256, 1024, 256)
WEIGHTS_BYTES = 4 * 2 * 256 * 1024


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with repositories(tmp_path) as make:
        yield make


def unbatched(repository: Repository, name: str) -> str:
    running = repository.find(name).running
    assert running is not None, repository.find(name).reason
    return running.unbatched


def ask(repository: Repository, name: str, width: int = 256, deadline: float | None = None) -> Result:
    x = np.full((1, width), 0.5, np.float32)
    return repository.find(name).infer(Inference({"x": x}, deadline=deadline))


def states(repository: Repository) -> dict[str, str]:
    return {one.name: one.reason or one.state for one in repository.index()}


def test_models_that_mix_rows_are_found_out_and_served_one_by_one(tmp_path: Path, make: Make) -> None:
    small_models.centred(tmp_path, "centred")
    small_models.quantized_together(tmp_path, "quantized")
    small_models.scaled(tmp_path, "fixed", batch=1)
    small_models.fixed_inside(tmp_path, "inside")
    small_models.scaled(tmp_path, "good")
    small_models.scaled(tmp_path, "off")
    (tmp_path / "off" / "model.yml").write_text("batching: off\n")
    repository = loaded(make())
    assert set(states(repository).values()) == {"READY"}
    for name in ("centred", "quantized"):
        assert unbatched(repository, name) == "output y of a row depends on the rows beside it"
    assert unbatched(repository, "fixed") == "the first axis of x is not symbolic"
    assert "a launch of several rows failed" in unbatched(repository, "inside")
    assert unbatched(repository, "off") == "its settings say so"
    assert unbatched(repository, "good") == ""
    assert {one.name: one.max_rows for one in repository.index() if one.max_rows} == {"good": 32}
    for name in ("centred", "fixed", "inside", "off"):
        told = repository.find(name).config()
        assert told["max_batch_size"] == 0
        assert told["parameters"]["unbatched"]["string_value"] == unbatched(repository, name)
    pair = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
    centred = repository.find("centred").infer(Inference({"x": pair})).outputs["y"]
    np.testing.assert_allclose(centred, pair - pair.mean(0), atol=1e-6)


def test_whole_numbers_and_open_lengths_warm_up(tmp_path: Path, make: Make) -> None:
    small_models.embedded(tmp_path, "ids")
    (tmp_path / "ids" / "model.yml").write_text("lengths: {length: 5}\nmax_rows: 4\n")
    repository = loaded(make())
    served = repository.find("ids")
    assert (served.state, unbatched(repository, "ids"), served.max_rows) == ("READY", "", 4)
    ids = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]])
    found = served.infer(Inference({"ids": ids})).outputs["y"]
    table = np.arange(1, 9).reshape(2, 4)
    np.testing.assert_allclose(found, table[ids].mean(1), rtol=1e-6)


def test_a_model_of_ours_is_the_same_alone_and_in_company(tmp_path: Path, make: Make) -> None:
    export("fashion-mnist", tmp_path)
    repository = loaded(make(batching=Batching(max_rows=8)))
    served = repository.find("fashion-mnist")
    images = np.random.default_rng(0).random((24, 1, 28, 28), dtype=np.float32)
    whole = served.infer(Inference({"image": images}))
    assert whole.version == "1"
    results: dict[int, Result] = {}
    with repository._loader.turns:
        threads = []
        for n in range(24):

            def submit(n: int = n) -> None:
                results[n] = served.infer(Inference({"image": images[n : n + 1]}))

            threads.append(threading.Thread(target=submit, daemon=True))
            threads[-1].start()
        running = served.running
        assert running is not None
        end = time.monotonic() + SOON_S
        while running.batcher.waiting < 24:
            assert time.monotonic() < end
            time.sleep(0.001)
    for thread in threads:
        thread.join(SOON_S)
    for n, result in results.items():
        np.testing.assert_allclose(result.outputs["logits"], whole.outputs["logits"][n : n + 1], rtol=1e-4, atol=1e-4)
    told = served.statistics()
    assert (told["name"], told["version"], told["inference_count"]) == ("fashion-mnist", "1", 48)
    assert told["execution_count"] < 48
    assert told["inference_stats"]["success"]["count"] == 25
    assert sum(one["batch_size"] * one["compute_infer"]["count"] for one in told["batch_stats"]) >= 48
    assert len(results) == 24
    assert running.model.inputs == served.inputs
    assert served.labels[0] == "T-shirt/top"


def test_a_configuration_is_that_of_the_protocol_and_may_come_back(tmp_path: Path, make: Make) -> None:
    small_models.scaled(tmp_path, "m")
    (tmp_path / "m" / "model.yml").write_text("max_rows: 6\nmax_delay_ms: 1.5\nqueue: 9\n")
    repository = loaded(make())
    told = repository.find("m").config()
    assert told == {
        "name": "m", "platform": "onnx", "backend": "rx580lab", "version_policy": {"all": {}}, "max_batch_size": 6,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [3]}],
        "default_model_filename": "model.onnx",
        "dynamic_batching": {"preferred_batch_size": [1, 2, 4, 6], "max_queue_delay_microseconds": 1500,
                             "default_queue_policy": {"max_queue_size": 9}},
    }  # fmt: skip
    repository.load("m", {**told, "max_batch_size": 3})
    assert repository.find("m").config()["max_batch_size"] == 3
    assert repository.find("m").config()["dynamic_batching"]["default_queue_policy"] == {"max_queue_size": 9}
    repository.load("m", '{"max_batch_size": 0}')
    assert repository.find("m").config()["parameters"] == {"unbatched": {"string_value": "its settings say so"}}
    repository.load("m")
    assert repository.find("m").config() == told


@pytest.mark.parametrize(
    "config",
    ['{"max_rows": 0}', '{"max_rows": "many"}', '{"unknown": 1}', "[]", "{", '{"name": "other"}', "null",
     '{"version_policy": {"newest": {}}}', '{"dynamic_batching": {"max_queue_delay_microseconds": "x"}}',
     '{"max_batch_size": -1}', "[" * 100_000],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_and_what_serves_goes_on(tmp_path: Path, make: Make, config: str) -> None:
    small_models.scaled(tmp_path, "m")
    repository = loaded(make())
    with pytest.raises(Refusal) as refused:
        repository.load("m", config)
    assert refused.value.status == 400
    assert len(refused.value.message) < 500
    assert ask(repository, "m", 3).outputs["y"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    "text", ["max_rows: [", "- a", "max_rows: 0", "lengths: {n: -1}", "x: &a [*a]", "\x00", "a" * 70_000]
)
def test_a_wrong_file_is_its_models_fault(tmp_path: Path, make: Make, text: str) -> None:
    small_models.scaled(tmp_path, "m")
    small_models.scaled(tmp_path, "other")
    (tmp_path / "m" / "model.yml").write_text(text)
    repository = loaded(make())
    assert repository.find("m").reason.startswith("[model.yml] ")
    assert repository.find("other").state == "READY"


def test_files_of_a_load_request_serve_instead_of_those_in_the_folder(tmp_path: Path, make: Make) -> None:
    small_models.scaled(tmp_path, "m", 1, factor=2)
    small_models.scaled(tmp_path, "m", 3, factor=3)
    other = small_models.scaled(tmp_path.parent / f"{tmp_path.name}-up", "m", factor=7).read_bytes()
    with pytest.raises(Refusal) as refused:
        loaded(make()).load("m", {}, {"1/model.onnx": other})
    assert refused.value.status == 403
    repository = loaded(make(uploads=True))
    repository.load("m", {}, {"file:1/model.onnx": other, "1/labels.txt": b"a\nb\nc\n"})
    assert ask(repository, "m", 3).outputs["y"][0, 0] == 3.5
    assert repository.find("m").labels == ("a", "b", "c")
    assert states(repository)["m"] != "READY"  # version 3, which did not come along
    repository.load("fresh", None, {"4/model.onnx": other})
    assert ask(repository, "fresh", 3).version == "4"
    for key, more in (("1/model.onnx", {}), ("1/other.onnx", {}), ("../1/model.onnx", {}), ("/model.onnx", {}),
                      ("1/../../model.onnx", {}), ("1/.x", {"1/model.onnx": other})):  # fmt: skip
        files = {key: b"bad", **more}
        with pytest.raises(Refusal) as refused:
            repository.load("fresh", {}, files)
        assert refused.value.status == 400
        assert "/tmp" not in refused.value.message
        assert ask(repository, "fresh", 3).outputs["y"][0, 0] == 3.5
    private = repository.find("fresh").path.parents[3]
    assert private.stat().st_mode & 0o077 == 0
    assert len(list(private.iterdir())) == 2
    repository.load("m")
    assert ask(repository, "m", 3).version == "3"


def test_the_least_recently_used_gives_way_and_comes_back_when_asked_for(tmp_path: Path, make: Make) -> None:
    for seed, name in enumerate("abc"):
        write_mlp(tmp_path, name, widths=WIDTHS, seed=seed)
    repository = make(memory_bytes=5 * WEIGHTS_BYTES)  # weights and their packed form of two
    for name in "ab":
        repository.load(name)
    two = repository.device.bytes_in_use
    assert two > 2 * WEIGHTS_BYTES
    ask(repository, "a")
    repository.load("c")
    assert states(repository) == {"a": "READY", "b": "evicted", "c": "READY"}
    assert two * 0.9 < repository.device.bytes_in_use < two * 1.1
    first = ask(repository, "b").outputs["y"]  # waits for its load
    assert states(repository) == {"a": "evicted", "b": "READY", "c": "READY"}
    np.testing.assert_array_equal(first, ask(repository, "b").outputs["y"])
    repository.unload("a")
    with pytest.raises(Refusal) as refused:
        ask(repository, "a")
    assert refused.value.status == 503
    for name in "abc":
        repository.unload(name)
    assert repository.device.bytes_in_use == 0


def test_at_the_start_nothing_is_evicted_and_what_found_no_room_is_loaded_when_asked_for(
    tmp_path: Path, make: Make
) -> None:
    for seed, name in enumerate("abc"):
        write_mlp(tmp_path, name, widths=WIDTHS, seed=seed)
    repository = loaded(make(memory_bytes=5 * WEIGHTS_BYTES))
    told = states(repository)
    assert (told["a"], told["b"]) == ("READY", "READY")
    assert "in use by others" in told["c"]
    assert repository.ready()
    ask(repository, "c")
    assert repository.find("c").state == "READY"


def test_what_is_required_or_in_use_is_never_evicted(tmp_path: Path, make: Make) -> None:
    for seed, name in enumerate("abc"):
        write_mlp(tmp_path, name, widths=WIDTHS, seed=seed)
    repository = make(memory_bytes=5 * WEIGHTS_BYTES, required=("a",))
    repository._room._patience_s = 0.05
    for name in "ab":
        repository.load(name)
    used = repository.find("b").running
    assert used is not None
    with repository._loader.turns:
        waiting = threading.Thread(target=ask, args=(repository, "b"), daemon=True)
        waiting.start()
        end = time.monotonic() + SOON_S
        while used.batcher.waiting == 0:
            assert time.monotonic() < end
            time.sleep(0.001)
        with pytest.raises(Refusal, match="in use by others"):
            repository.load("c")
    waiting.join(SOON_S)
    assert states(repository) | {"c": ""} == {"a": "READY", "b": "READY", "c": ""}
    repository.load("c")
    assert (states(repository)["a"], states(repository)["b"]) == ("READY", "evicted")


def test_a_model_that_never_fits_is_refused_with_figures(tmp_path: Path, make: Make) -> None:
    write_mlp(tmp_path, "m", widths=WIDTHS)
    repository = loaded(make(memory_bytes=WEIGHTS_BYTES // 2))
    assert "expected a model within 1,048,576 bytes" in repository.find("m").reason
    assert not repository.find("m").on_demand
    assert repository.device.bytes_in_use == 0


def test_threads_that_ask_for_more_models_than_fit_all_get_answers(tmp_path: Path, make: Make) -> None:
    for seed, name in enumerate("abcd"):
        write_mlp(tmp_path, name, widths=(64, 256, 64), seed=seed)
    repository = loaded(make(memory_bytes=5 * 4 * 2 * 64 * 256))
    outcomes: list[object] = []

    def client(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(6):
            try:
                outcomes.append(type(ask(repository, "abcd"[rng.integers(4)], 64)))
            except Refusal as refusal:
                outcomes.append(refusal.status)

    threads = [threading.Thread(target=client, args=(seed,), daemon=True) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * SOON_S)
        assert not thread.is_alive(), "a deadlock"
    assert len(outcomes) == 36
    assert set(outcomes) <= {Result, 503}
    assert outcomes.count(Result) > 18
    assert repository.device.bytes_in_use <= 5 * 4 * 2 * 64 * 256


def test_nothing_is_loaded_before_it_is_asked_for_where_the_settings_say_so(tmp_path: Path, make: Make) -> None:
    small_models.scaled(tmp_path, "m")
    small_models.scaled(tmp_path, "needed")
    small_models.corrupt(tmp_path, "bad")
    repository = loaded(make(load=False, required=("needed",)))
    assert repository.ready()
    assert states(repository)["m"] == "not loaded until it is asked for"
    assert states(repository)["needed"] == "READY"
    repository.find("m").prepare()
    assert repository.find("m").inputs["x"].shape == ("batch", 3)
    assert ask(repository, "m", 3).outputs["y"].tolist() == [[1, 1, 1]]
    for _ in range(2):
        with pytest.raises(Refusal, match="damaged") as refused:
            ask(repository, "bad", 3)
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)


def test_a_load_on_demand_is_waited_for_until_the_deadline_and_by_few(tmp_path: Path, make: Make) -> None:
    small_models.scaled(tmp_path, "m")
    repository = loaded(make(load=False, waiting=Waiting(request_s=0.2)))
    served = repository.find("m")
    with repository._one_load:
        for deadline in (time.monotonic() + 0.01, None):
            with pytest.raises(Refusal) as refused:
                ask(repository, "m", 3, deadline)
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "6")
        for _ in range(16):
            assert served._on_demand.acquire(blocking=False)
        began = time.monotonic()
        with pytest.raises(Refusal):
            ask(repository, "m", 3)
        assert time.monotonic() - began < 0.15
    for _ in range(16):
        served._on_demand.release()
    end = time.monotonic() + SOON_S
    while served.state != "READY":  # nobody waits for it any more, and still it loads
        assert time.monotonic() < end
        time.sleep(0.002)
    assert ask(repository, "m", 3).outputs["y"].tolist() == [[1, 1, 1]]
