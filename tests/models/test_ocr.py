"""Reading text: the whole pipeline with ONNX Runtime's models, and each of its steps by itself."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rx580lab.errors import ModelError, ShapeError
from rx580lab.models import ocr
from tests.models.real_inputs import drawn
from tests.models.sessions import exported, onnxruntime_session

DRAWN = ("OpenCL on RX 580", "int8 GEMM 36 CU")
READ = ["OpenCL on R", "RX 580", "int8 GEMM 36 CU"]
PAGE = [
    "Region-based segmentation",
    "Let us first determine markers of the coins and the",
    "background.These markers are pixels that we can label",
    "unambiguously as either object or background.Here,",
    "histogram of grey values:",
]


def runner(name: str) -> ocr.Run:
    return onnxruntime_session(exported(name))


@pytest.fixture(scope="module")
def reader() -> ocr.Reader:
    characters = ocr.characters_of(exported("ppocrv4-rec"))
    return ocr.Reader(runner("ppocrv4-det"), runner("ppocrv4-rec"), characters, runner("ppocrv2-cls"))


def test_drawn_text_is_read(reader: ocr.Reader) -> None:
    lines = reader.read(drawn(*DRAWN))
    assert [line.text for line in lines] == READ
    assert min(line.share for line in lines) > 0.97
    np.testing.assert_allclose(lines[2].corners, [[20, 94], [400, 94], [400, 134], [20, 134]], atol=3)


def test_text_on_its_head_is_turned_back(reader: ocr.Reader) -> None:
    lines = reader.read(drawn(*DRAWN)[::-1, ::-1])
    assert [line.text for line in lines] == ["int8 GEMM 36 CU", "OpenCL on RX 580"]
    as_it_is = ocr.Reader(reader.detect, reader.recognise, reader.characters).read(drawn(*DRAWN)[::-1, ::-1])
    assert not {line.text for line in as_it_is} & set(DRAWN)


def test_text_from_top_to_bottom_is_read(reader: ocr.Reader) -> None:
    upright = np.ascontiguousarray(np.rot90(drawn("gfx803")[:, :300], -1))
    assert [line.text for line in reader.read(upright)] == ["gfx803"]


def test_the_models_see_blue_first() -> None:
    seen: list[NDArray[np.float32]] = []

    def detect(image: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(image)
        return np.zeros((1, 1, *image.shape[2:]), np.float32)

    red = np.zeros((736, 736, 3), np.uint8)
    red[..., 0] = 255
    assert ocr.Reader(detect, detect, []).read(red) == []
    assert seen[0][0, :, 0, 0].tolist() == [-1.0, -1.0, 1.0]


def test_photographed_text_is_read(reader: ocr.Reader) -> None:
    assert [line.text for line in reader.read(skimage.data.page())] == PAGE


def test_a_strip_is_read(reader: ocr.Reader) -> None:
    strip = np.full((44, 900, 3), 255, np.uint8)
    cv2.putText(strip, "a strip of one line", (20, 32), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2)
    (line,) = reader.read(strip)
    assert line.text == "a strip of one line"
    assert line.corners[:, 1].max() <= 44


def test_where_no_text_is_none_is_read(reader: ocr.Reader) -> None:
    assert reader.read(np.full((100, 100), 200, np.uint8)) == []


def test_characters_are_those_of_the_file() -> None:
    characters = ocr.characters_of(exported("ppocrv4-rec"))
    assert (len(characters), characters[0], characters[-1]) == (6624, "'", " ")
    assert all(len(character) == 1 for character in characters)


def test_a_file_without_characters_is_refused() -> None:
    with pytest.raises(ModelError, match="expected metadata 'character'"):
        ocr.characters_of(exported("ppocrv4-det"))


def test_line_separators_may_be_characters(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "none", [], []))
    onnx.helper.set_model_props(model, {"character": "a\n\u2028\n\x85\nb\n"})
    onnx.save(model, tmp_path / "m.onnx")
    assert ocr.characters_of(tmp_path / "m.onnx") == ["a", "\u2028", "\x85", "b", " "]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3))))
def test_decoding_joins_what_is_repeated_and_drops_what_is_none(runs: list[tuple[int, int]]) -> None:
    runs = [run for i, run in enumerate(runs) if i == 0 or run[0] != runs[i - 1][0]]
    columns = [kind for kind, count in runs for _ in range(count)]
    shares = np.full((len(columns), 4), 0.1)
    shares[np.arange(len(columns)), columns] = 0.7
    text, share = ocr.decoded(shares, "abc")
    assert text == "".join("abc"[kind - 1] for kind, _ in runs if kind)
    assert share == pytest.approx(0.7 if text else 0.0)


def test_a_character_twice_needs_none_between() -> None:
    shares = np.eye(3)[[1, 1, 0, 1, 2]]
    assert ocr.decoded(shares, "ab") == ("aab", 1.0)


@pytest.mark.parametrize("angle", [0, 20, -35])
def test_a_region_grows_back_to_its_text(angle: float) -> None:
    sides = (200.0, 40.0)
    grown = ocr.unclipped(*sides)
    distance = 200 * 40 * 1.6 / 480
    assert grown == pytest.approx((200 + 2 * distance, 40 + 2 * distance))
    shares = np.zeros((400, 500), np.float32)
    cv2.fillPoly(shares, [cv2.boxPoints(((250, 200), sides, angle)).astype(np.int32)], (0.9,))
    shares[10:12, 10:12] = 0.9  # a speck
    shares[350:390, 50:250] = 0.4  # above the pixel's threshold, below the box's
    (corners,) = ocr.regions(shares, cv2)
    wanted = cv2.boxPoints(((250, 200), grown, angle))
    distances = np.linalg.norm(corners[:, None] - wanted[None], axis=2).min(axis=1)
    assert distances.max() < 5
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    assert edges[0] == pytest.approx(grown[0], abs=6)
    assert corners[0, 0] < corners[1, 0]


def rectangle(left: float, top: float, width: float, height: float) -> NDArray[np.float32]:
    right, bottom = left + width, top + height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_the_order_is_that_of_reading() -> None:
    boxes = [rectangle(10, 10, 50, 20), rectangle(70, 14, 50, 20), rectangle(5, 40, 50, 20), rectangle(70, 36, 50, 20)]
    ordered = ocr.in_reading_order([boxes[3], boxes[1], boxes[2], boxes[0]])
    assert [box.tolist() for box in ordered] == [box.tolist() for box in boxes]
    assert ocr.in_reading_order([]) == []


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_detector_sees_multiples_of_32(height: int, width: int) -> None:
    if max(height, width) > 8 * min(height, width):
        return  # strips are padded before
    sides = ocr.detection_size(height, width)
    assert all(side % 32 == 0 for side in sides)
    assert min(sides) >= 736 - 16
    scale = sides[0] / height
    assert sides[1] == pytest.approx(width * scale, rel=0.05)


def model_that_gives(*shape: int) -> ocr.Run:
    return lambda _image: np.zeros(shape, np.float32)


def whole_page(image: NDArray[np.float32]) -> NDArray[np.float32]:
    shares = np.zeros((1, 1, *image.shape[2:]), np.float32)
    shares[..., 200:400, 200:600] = 1
    return shares


@pytest.mark.parametrize(
    ("detect", "recognise", "classify", "message"),
    [
        (model_that_gives(1, 1, 5, 5), model_that_gives(1, 5, 3), None, r"detection\] expected shares of shape"),
        (whole_page, model_that_gives(1, 5, 4), None, r"recognition\] expected shares \(1, columns, 3\)"),
        (whole_page, model_that_gives(1, 5, 3), model_that_gives(1, 3), r"classification\] expected two shares"),
    ],
)
def test_a_model_of_another_kind_is_named(
    detect: ocr.Run, recognise: ocr.Run, classify: ocr.Run | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        ocr.Reader(detect, recognise, ["a", "b"], classify).read(np.zeros((736, 736, 3), np.uint8))


def test_what_is_no_picture_is_refused(reader: ocr.Reader) -> None:
    with pytest.raises(ShapeError, match=r"ocr\] expected a picture"):
        reader.read(np.zeros((3, 10), np.uint8)[:, :, None])


def test_without_opencv_it_says_how_to_get_it(reader: ocr.Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = importlib.import_module
    refuse = {"cv2"}

    def without(name: str, *rest: Any) -> Any:
        if name in refuse:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ModelError, match=r"pip install 'rx580lab\[vision\]'"):
        reader.read(drawn("x"))
