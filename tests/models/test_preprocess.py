"""From pictures and files to inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rx580lab.errors import InputError, ModelError, ShapeError
from rx580lab.models.preprocess import (
    centre_square,
    classifier_input,
    file_type_input,
    probabilities,
    read_picture,
    resized,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (40, 3), (13, 17), (1, 1), (26, 34)])
def test_resizing_is_bilinear_between_pixel_centres(height: int, width: int) -> None:
    picture = RNG.integers(0, 256, (13, 17, 3)).astype(np.uint8)
    wanted = np.empty((height, width, 3))
    for i in range(height):
        y = min(max((i + 0.5) * 13 / height - 0.5, 0), 12)
        for j in range(width):
            x = min(max((j + 0.5) * 17 / width - 0.5, 0), 16)
            top, left = int(y), int(x)
            corners = picture[top : top + 2, left : left + 2].astype(float)
            down, right = np.array([1 - y % 1, y % 1]), np.array([1 - x % 1, x % 1])
            wanted[i, j] = np.einsum("a,b,abc->c", down[: corners.shape[0]], right[: corners.shape[1]], corners)
    got = resized(picture.astype(np.float32), height, width)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    np.testing.assert_array_equal(resized(picture, height, width), np.floor(got + 0.5).astype(np.uint8), strict=True)


def test_the_square_is_the_middle() -> None:
    picture = np.arange(3 * 8).reshape(3, 8, 1)
    assert centre_square(picture)[..., 0].tolist() == [[2, 3, 4], [10, 11, 12], [18, 19, 20]]
    assert centre_square(picture.transpose(1, 0, 2)).shape == (3, 3, 1)


def test_the_classifier_sees_grey_and_transparent_pictures() -> None:
    grey = np.full((30, 40), 255, np.uint8)
    assert classifier_input(grey).shape == (1, 3, 224, 224)
    np.testing.assert_array_equal(classifier_input(grey), np.float32(1.0))
    coloured = np.zeros((30, 40, 4), np.uint8)
    coloured[..., 0] = 127
    assert classifier_input(coloured)[0, :, 0, 0].tolist() == [0, -127 / 128, -127 / 128]


@pytest.mark.parametrize("shape", [(5,), (4, 4, 2), (0, 4, 3), (1, 4, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected a picture"):
        classifier_input(np.zeros(shape))


def test_files_of_pictures(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), pixels)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "c.png").write_text("no picture")
    for name in ("b.png", "c.png", "d.png"):
        with pytest.raises(ModelError, match=rf"{name}\] expected a picture"):
            read_picture(tmp_path / name)


def test_a_file_is_its_ends() -> None:
    data = b" \n" + bytes(range(1, 200)) + b"\n\t"
    values = file_type_input(data)
    assert values.shape == (1, 2048)
    assert values.dtype == np.int32
    assert values[0, :199].tolist() == list(range(1, 200))
    assert set(values[0, 201:1847]) == {256}
    assert values[0, -200:].tolist() == [10, *range(1, 200)]
    long = file_type_input(bytes([1]) * 2000 + bytes([2]) * 6000)
    assert set(long[0, :1024]) == {1}
    assert set(long[0, 1024:]) == {2}
    with pytest.raises(InputError, match="at least 8 bytes, got 5"):
        file_type_input(b"abc  ")


def test_probabilities_of_large_logits() -> None:
    np.testing.assert_allclose(probabilities(np.array([[1000.0, 1000.0, -1000.0]])), [[0.5, 0.5, 0.0]])
