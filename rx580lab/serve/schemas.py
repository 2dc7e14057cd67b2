"""What bodies and answers look like, as the OpenAPI document tells and as requests are held to it.

Control fields are strict: no conversion, nothing that is not listed. Elements of tensors are not looked at one by one
here; ``tensors.py`` does that for whole arrays.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from rx580lab.serve.refusal import CODES

__all__ = ["Answer", "Asked", "Elements", "Failure"]

_SCALAR = [{"type": "number"}, {"type": "boolean"}, {"type": "string"}]
# Numbers, or lists of them to any depth; JSON Schema cannot say that rows are of one length and elements of one type.
Elements = Annotated[
    Any,
    WithJsonSchema(
        {
            "description": "A number, a truth value or a text; or a list of such, nested once for each axis.",
            "anyOf": [*_SCALAR, {"type": "array", "items": {}}],
        }
    ),
]


class Asked(BaseModel):
    """Base of what a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(extra="forbid")


class Failure(Answer):
    """Every failure. ``error`` is for people, ``code`` for programs."""

    error: str = Field(description="What was expected and what came.")
    code: Literal[tuple(CODES.values())] = Field(description="One word for the status.")  # type: ignore[valid-type]
    status: int = Field(description="The status, as in the answer's first line.")
    request_id: str | None = Field(description="As in X-Request-ID.")
