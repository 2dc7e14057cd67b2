"""Sentences as the token ids that a model reads, by its own ``tokenizer.json``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rx580lab.errors import InputError, ModelError

__all__ = ["encode"]


def encode(sentences: Sequence[str], tokenizer: str | Path, *, longest: int = 512) -> dict[str, NDArray[np.int64]]:
    """``input_ids`` and ``attention_mask``, both (sentences, tokens of the longest), int64; padding is 0 in both.

    Sentences are never cut: the tokenizer's own padding and truncation to 128 are switched off.

    Raises:
        InputError: there is no sentence, or one has more than ``longest`` tokens.
        ModelError: the package ``tokenizers`` is not installed, or the file is no tokenizer.
    """
    if not sentences:
        raise InputError("tokenizer", "expected at least one sentence, got none")
    read = _tokenizer(Path(tokenizer))
    ids = [read.encode(sentence).ids for sentence in sentences]
    for sentence, tokens in zip(sentences, ids, strict=True):
        if len(tokens) > longest:
            shown = sentence[:40]
            raise InputError("tokenizer", f"expected at most {longest} tokens a sentence, got {len(tokens)}: {shown!r}")
    shape = (len(ids), max(len(tokens) for tokens in ids))
    padded, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return {"input_ids": padded, "attention_mask": mask}


def _tokenizer(path: Path) -> Any:
    try:
        module = importlib.import_module("tokenizers")
    except ImportError as error:
        raise ModelError("tokenizer", "needs the package tokenizers; pip install 'rx580lab[text]'") from error
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(str(path), f"expected a tokenizer.json, got a file that cannot be read: {error}") from error
    try:
        made = module.Tokenizer.from_str(text)
    except Exception as error:  # the package raises no narrower class
        raise ModelError(str(path), f"expected a tokenizer.json, got: {error}") from error
    made.no_padding()
    made.no_truncation()
    return made
