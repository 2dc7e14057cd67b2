"""Reading the text of a picture with PP-OCR's models: where text is, which way up, what it says.

The models are callables from an array to an array, so that any runtime can drive them; ``open_reader`` takes ours.
Geometry is OpenCV's, which is installed by ``pip install 'rx580lab[vision]'``.

Detection is by differentiable binarization (M. Liao et al., "Real-time scene text detection with differentiable
binarization", 2020): the model gives each pixel's share of being in a shrunken line of text; what is above a threshold
is cut into regions, and each region's rectangle grows back by as much as its text had been shrunk. Recognition is CTC:
one class for each column of the line, where a repeated class is one character and class 0 is none.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rx580lab.errors import ModelError
from rx580lab.formats.onnx_file import read_model
from rx580lab.models.fetch import fetch
from rx580lab.models.preprocess import as_rgb, resized

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = [
    "Line",
    "Reader",
    "characters_of",
    "decoded",
    "line_input",
    "normalised",
    "open_reader",
    "regions",
    "unclipped",
]

Run = Callable[[NDArray[np.float32]], NDArray[Any]]

# Of the detector: its sides are multiples of 32, the short one at least so long; a strip is padded before.
SHORT_SIDE, MULTIPLE, LONG_SIDE = 736, 32, 2000
MOST_STRETCHED, LOWEST = 8, 30
PIXEL_THRESHOLD, BOX_THRESHOLD, UNCLIP_RATIO, MOST_REGIONS = 0.3, 0.5, 1.6, 1000
# Pixels of the map: a region's least thickness, and that of its grown rectangle.
THINNEST, THINNEST_GROWN = 3, 5
# Of the recogniser and the classifier.
HEIGHT, NARROWEST, CLASSIFIED_WIDTH = 48, 320, 192
# Widths are rounded up to it: a few shapes serve all lines, and so do their plans.
WIDTH_STEP = 160
UPSIDE_DOWN, LEAST_SHARE = 0.9, 0.5
# A crop that is this much higher than wide is text from top to bottom.
UPRIGHT = 1.5


@dataclass(frozen=True)
class Line:
    """A line of text: what it says, the mean share of its characters, its corners (4, 2) as x, y from the top left."""

    text: str
    share: float
    corners: NDArray[np.float32]


@dataclass(frozen=True)
class Reader:
    """Reads pictures with two or three models.

    Attributes:
        detect: (1, 3, height, width) -> (1, 1, height, width), shares.
        recognise: (1, 3, 48, width) -> (1, columns, classes), shares; class 0 is no character.
        characters: of the classes from 1 on.
        classify: (1, 3, 48, 192) -> (1, 2), shares of upright and upside down; None leaves lines as they are.
    """

    detect: Run
    recognise: Run
    characters: Sequence[str]
    classify: Run | None = None

    def read(self, picture: NDArray[Any]) -> list[Line]:
        """The lines of a picture (height, width, 3), RGB of 0 to 255, in reading order.

        Raises:
            ShapeError: it is no picture.
            ModelError: OpenCV is not installed, or a model's output is not of the shape it should have.
        """
        vision = _opencv()
        # The models were trained on OpenCV's order of colours.
        image = np.ascontiguousarray(as_rgb(picture, "ocr")[:, :, ::-1], np.uint8)
        lines = []
        for corners in in_reading_order(self._boxes(image, vision)):
            crop = _straightened(image, corners, vision)
            if self.classify is not None and self._share_upside_down(self.classify, crop) > UPSIDE_DOWN:
                crop = crop[::-1, ::-1]
            text, share = self._text(crop)
            if text and share >= LEAST_SHARE:
                lines.append(Line(text, share, corners))
        return lines

    def _boxes(self, image: NDArray[np.uint8], vision: Any) -> list[NDArray[np.float32]]:
        padded, above = _no_strip(image)
        height, width = detection_size(*padded.shape[:2])
        shares = self.detect(normalised(resized(padded, height, width)))
        if shares.shape != (1, 1, height, width):
            raise ModelError(
                "ocr: detection", f"expected shares of shape (1, 1, {height}, {width}), got {shares.shape}"
            )
        scale = np.array([padded.shape[1] / width, padded.shape[0] / height], np.float32)
        limits = np.array([image.shape[1], image.shape[0]], np.float32)
        boxes = (box * scale - np.array([0, above], np.float32) for box in regions(shares[0, 0], vision))
        kept = (np.clip(np.round(box), 0, limits) for box in boxes)
        return [box for box in kept if all(np.ptp(box, axis=0) >= 1)]

    def _share_upside_down(self, classify: Run, crop: NDArray[np.uint8]) -> float:
        shares = classify(line_input(crop, CLASSIFIED_WIDTH))
        if shares.shape != (1, 2):
            raise ModelError("ocr: classification", f"expected two shares, got an array of shape {shares.shape}")
        return float(shares[0, 1])

    def _text(self, crop: NDArray[np.uint8]) -> tuple[str, float]:
        wanted = math.ceil(HEIGHT * crop.shape[1] / crop.shape[0])
        width = max(NARROWEST, -(-wanted // WIDTH_STEP) * WIDTH_STEP)
        shares = self.recognise(line_input(crop, width))
        if shares.ndim != 3 or shares.shape[0] != 1 or shares.shape[2] != len(self.characters) + 1:
            classes = len(self.characters) + 1
            raise ModelError("ocr: recognition", f"expected shares (1, columns, {classes}), got {shares.shape}")
        return decoded(shares[0], self.characters)


def open_reader(device: Device | str | None = None, *, classify: bool = True) -> Reader:
    """A reader of PP-OCRv4's models, fetched if need be and run on ``device`` by our own runtime.

    Raises:
        ModelError: the models cannot be had.
    """
    from rx580lab.graph import load

    def runner(path: Path) -> Run:
        model = load(path, device)
        (name,) = model.inputs

        def run(image: NDArray[np.float32]) -> NDArray[Any]:
            (output,) = model.run({name: image}).values()
            return output

        return run

    detection, recognition, turned = (
        next(iter(fetch(name).values())) for name in ("ppocrv4-det", "ppocrv4-rec", "ppocrv2-cls")
    )
    characters = characters_of(recognition)
    return Reader(runner(detection), runner(recognition), characters, runner(turned) if classify else None)


def characters_of(path: Path) -> list[str]:
    """The characters that a recogniser's file says its classes from 1 on are: one a line, and then the space.

    Raises:
        ModelError: the file is no model, or does not say.
    """
    table = {item.key: item.value for item in read_model(path).proto.metadata_props}.get("character")
    if not table:
        raise ModelError(str(path), "expected metadata 'character', one character a line, got none")
    # By the newline alone: some of the characters are line separators to str.splitlines().
    return [*table.removesuffix("\n").split("\n"), " "]


def decoded(shares: NDArray[Any], characters: Sequence[str]) -> tuple[str, float]:
    """CTC's best path through (columns, classes), and the mean share of its characters; 0 where there are none."""
    best = shares.argmax(axis=1)
    first = np.concatenate([[True], best[1:] != best[:-1]]) if len(best) else np.zeros(0, bool)
    kept = np.flatnonzero(first & (best != 0))
    text = "".join(characters[best[column] - 1] for column in kept)
    return text, float(shares[kept, best[kept]].mean()) if len(kept) else 0.0


def detection_size(height: int, width: int) -> tuple[int, int]:
    """The size in which the detector sees a picture: multiples of 32, the short side about 736 or more."""
    scale = max(SHORT_SIDE / min(height, width), 1.0)
    long = max(height, width) * scale
    # A large picture of ordinary proportions need not stay as large.
    if long > LONG_SIDE and scale == 1.0:
        scale = max(LONG_SIDE / max(height, width), SHORT_SIDE / min(height, width))
    sides = [max(round(int(side * scale) / MULTIPLE), 1) * MULTIPLE for side in (height, width)]
    return sides[0], sides[1]


def _no_strip(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """A strip with its edges continued up and down, so that it need not be stretched to a huge picture; rows above."""
    height, width = image.shape[:2]
    if height > LOWEST and width <= MOST_STRETCHED * height:
        return image, 0
    above = (2 * max(width // MOST_STRETCHED, LOWEST) - height) // 2
    return (np.pad(image, ((above, above), (0, 0), (0, 0)), mode="edge"), above) if above > 0 else (image, 0)


def normalised(image: NDArray[Any]) -> NDArray[np.float32]:
    """(height, width, 3) of 0 to 255 as (1, 3, height, width) of -1 to 1."""
    scaled = image.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def line_input(crop: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """A line 48 high in its proportions, followed by zeros up to ``width``; squeezed where it is longer."""
    made = np.zeros((1, 3, HEIGHT, width), np.float32)
    own = min(max(math.ceil(HEIGHT * crop.shape[1] / crop.shape[0]), 1), width)
    made[..., :own] = normalised(resized(crop, HEIGHT, own))
    return made


def regions(shares: NDArray[Any], vision: Any) -> list[NDArray[np.float32]]:
    """The corners (4, 2) of each line of text in a map of shares (height, width), grown back to the text's size."""
    mask = (shares > PIXEL_THRESHOLD).astype(np.uint8)
    mask = vision.dilate(mask, np.ones((2, 2), np.uint8))
    contours = vision.findContours(mask, vision.RETR_LIST, vision.CHAIN_APPROX_SIMPLE)[-2]
    found = []
    for contour in contours[:MOST_REGIONS]:
        centre, sides, angle = vision.minAreaRect(contour)
        if min(sides) < THINNEST:
            continue
        if _mean_inside(shares, vision.boxPoints((centre, sides, angle)), vision) < BOX_THRESHOLD:
            continue
        grown = unclipped(*sides)
        if min(grown) >= THINNEST_GROWN:
            found.append(_from_top_left(vision.boxPoints((centre, grown, angle))))
    return found


def unclipped(width: float, height: float) -> tuple[float, float]:
    """The sides of a rectangle whose edges move outwards by area x ratio / perimeter."""
    distance = width * height * UNCLIP_RATIO / (2 * (width + height))
    return width + 2 * distance, height + 2 * distance


def _mean_inside(shares: NDArray[Any], corners: NDArray[np.float32], vision: Any) -> float:
    top = np.array(shares.shape[::-1]) - 1
    first = np.clip(np.floor(corners.min(axis=0)), 0, top).astype(int)
    last = np.clip(np.ceil(corners.max(axis=0)), 0, top).astype(int)
    part = shares[first[1] : last[1] + 1, first[0] : last[0] + 1]
    inside = np.zeros(part.shape, np.uint8)
    vision.fillPoly(inside, [(corners - first).astype(np.int32)], 1)
    return float(part[inside == 1].mean()) if inside.any() else 0.0


def _from_top_left(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners in the order top left, top right, bottom right, bottom left."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    left, right = left[np.argsort(left[:, 1])], right[np.argsort(right[:, 1])]
    return np.array([left[0], right[0], right[1], left[1]], np.float32)


def in_reading_order(boxes: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Boxes from top to bottom, and from left to right where their middles lie within half a line's height."""
    rows: list[list[NDArray[np.float32]]] = []
    for box in sorted(boxes, key=_middle):
        if rows and _middle(box) - np.mean([_middle(other) for other in rows[-1]]) < np.ptp(rows[-1][0][:, 1]) / 2:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row, key=lambda box: float(box[:, 0].min()))]


def _middle(box: NDArray[np.float32]) -> float:
    return float(box[:, 1].mean())


def _straightened(image: NDArray[np.uint8], corners: NDArray[np.float32], vision: Any) -> NDArray[np.uint8]:
    """What lies between the corners, as an upright rectangle; text from top to bottom is turned to the left."""
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    width, height = max(int(max(edges[0], edges[2])), 1), max(int(max(edges[1], edges[3])), 1)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = vision.getPerspectiveTransform(corners, target)
    crop: NDArray[np.uint8] = vision.warpPerspective(
        image, transform, (width, height), flags=vision.INTER_CUBIC, borderMode=vision.BORDER_REPLICATE
    )
    return np.rot90(crop) if height >= UPRIGHT * width else crop


def _opencv() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise ModelError("ocr", "needs OpenCV, which is not installed here; pip install 'rx580lab[vision]'") from error
