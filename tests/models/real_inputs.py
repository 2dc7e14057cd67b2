"""Inputs of demo models as they come in use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from rx580lab.models import ocr
from rx580lab.models.fashion_mnist import input_of, read_slice
from rx580lab.models.preprocess import as_rgb, classifier_input, file_type_input, resized
from rx580lab.models.tokens import encode
from tests.models.sessions import exported

__all__ = ["drawn", "real_inputs"]


def drawn(*lines: str) -> NDArray[np.uint8]:
    """Lines of text, black on white: (20 + 70 for each, 640, 3)."""
    picture = np.full((20 + 70 * len(lines), 640, 3), 255, np.uint8)
    for index, line in enumerate(lines):
        cv2.putText(picture, line, (20, 60 + 70 * index), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (0, 0, 0), 3)
    return picture


def _line(width: int) -> dict[str, NDArray[Any]]:
    return {"x": ocr.line_input(drawn("int8 GEMM 36 CU")[20:75, 15:405], width)}


def real_inputs(name: str, *, small: bool = False) -> dict[str, NDArray[Any]]:
    """Inputs of the model ``name`` by their names; ``small`` ones where a device is slow and the model lets one."""
    if name == "fashion-mnist":
        return {"image": input_of(read_slice().pictures[: 1 if small else 8])}
    if name == "efficientnet-lite0":
        return {"image": classifier_input(skimage.data.coffee())}
    if name == "ppocrv4-det":
        page = as_rgb(skimage.data.page(), "page")[:, :, ::-1]
        height, width = (64, 96) if small else (736, 736)
        return {"x": ocr.normalised(resized(page[:, :191], height, width))}
    if name == "ppocrv4-rec":
        return _line(64 if small else 320)
    if name == "ppocrv2-cls":
        return _line(192)
    if name == "minilm":
        sentences = ["a cat sits on the mat", "the feline rests upon a rug, which is longer"]
        return dict(encode(sentences, exported("minilm").with_name("tokenizer.json")))
    if name == "silero-vad":
        sound = np.sin(np.arange(576) / 9) * np.sin(np.arange(576) / 200)
        state = np.zeros((2, 1, 128), np.float32)
        return {"input": sound[None].astype(np.float32), "sr": np.array(16000), "state": state}
    if name == "magika":
        return {"bytes": file_type_input(Path(sys.executable).resolve().read_bytes())}
    raise ValueError(name)
