"""What lies between a picture or a file and a demo model's input, and between its output and an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rx580lab.errors import InputError, ModelError, ShapeError

__all__ = ["centre_square", "classifier_input", "file_type_input", "probabilities", "read_picture", "resized"]

# EfficientNet-lite's own: pixels of 0 to 255 become about -1 to 1.
CLASSIFIER_SIZE, CLASSIFIER_MEAN, CLASSIFIER_SPREAD = 224, 127.0, 128.0
# Magika's: of a file's first and last block, without white space at its ends, this much; what lacks is padded.
FILE_BLOCK_BYTES, FILE_END_BYTES, FILE_PADDING, FILE_SHORTEST_BYTES = 4096, 1024, 256, 8


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """A picture file as (height, width, 3), RGB.

    Raises:
        ModelError: the file is missing, is no picture that Pillow knows, or is damaged.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise ModelError(str(path), f"expected a picture, got a file that cannot be read: {error}") from error


def as_rgb(picture: NDArray[Any], where: str) -> NDArray[Any]:
    """Grey (height, width) and RGBA pictures as (height, width, 3); transparency is left out.

    Raises:
        ShapeError: it is no picture.
    """
    if picture.ndim == 2:
        return np.repeat(picture[:, :, None], 3, axis=2)
    if picture.ndim == 3 and picture.shape[2] in (3, 4) and picture.size:
        return picture[:, :, :3]
    raise ShapeError(where, f"expected a picture (height, width, 3), got an array of shape {picture.shape}")


def centre_square(picture: NDArray[Any]) -> NDArray[Any]:
    """The largest square in the middle of (height, width, channels)."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def resized(picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """(height, width, channels) in another size; uint8 is rounded to uint8, all else becomes float32.

    Bilinear between the four nearest pixel centres, without smoothing where it gets smaller: as OpenCV does it, with
    which the demo models were trained or shown.
    """
    source = np.asarray(picture, np.float32)
    rows, below = _neighbours(source.shape[0], height)
    columns, beside = _neighbours(source.shape[1], width)
    source = _between(source[rows], source[np.minimum(rows + 1, source.shape[0] - 1)], below[:, None, None])
    right = np.minimum(columns + 1, source.shape[1] - 1)
    made = _between(source[:, columns], source[:, right], beside[None, :, None])
    return (made + 0.5).astype(np.uint8) if picture.dtype == np.uint8 else made


def _neighbours(n_old: int, n_new: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each new pixel, the old one at or before its centre, and how far it lies towards the next."""
    places = np.clip((np.arange(n_new) + 0.5) * (n_old / n_new) - 0.5, 0, n_old - 1)
    first = np.floor(places).astype(np.int64)
    return first, (places - first).astype(np.float32)


def _between(a: NDArray[np.float32], b: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    return a + (b - a) * share


def classifier_input(picture: NDArray[Any]) -> NDArray[np.float32]:
    """A picture (height, width, 3), RGB of 0 to 255, as EfficientNet-lite0's ``image``: (1, 3, 224, 224).

    Raises:
        ShapeError: it is no picture.
    """
    square = resized(centre_square(as_rgb(picture, "classifier")), CLASSIFIER_SIZE, CLASSIFIER_SIZE).astype(np.float32)
    return np.ascontiguousarray(((square - CLASSIFIER_MEAN) / CLASSIFIER_SPREAD).transpose(2, 0, 1)[None])


def file_type_input(data: bytes) -> NDArray[np.int32]:
    """A file's bytes as magika's ``bytes``: (1, 2048), from its first and last blocks.

    Raises:
        InputError: it is too short to have a type.
    """
    first, last = data[:FILE_BLOCK_BYTES].lstrip(), data[-FILE_BLOCK_BYTES:].rstrip()
    if len(first) < FILE_SHORTEST_BYTES:
        raise InputError("magika", f"expected at least {FILE_SHORTEST_BYTES} bytes, got {len(first)}")
    values = np.full(2 * FILE_END_BYTES, FILE_PADDING, np.int32)
    head = np.frombuffer(first[:FILE_END_BYTES], np.uint8)
    tail = np.frombuffer(last[-FILE_END_BYTES:], np.uint8)
    values[: head.size] = head
    if tail.size:
        values[-tail.size :] = tail
    return values[None]


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The softmax along the last axis, in float64."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
