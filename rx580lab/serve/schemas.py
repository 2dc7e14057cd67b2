"""What bodies and answers look like, as the OpenAPI document tells and as requests are held to it.

Control fields are strict: no conversion, nothing that is not listed. Elements of tensors are not looked at one by one
here; ``tensors.py`` does that for whole arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from rx580lab.serve.refusal import CODES

__all__ = ["NESTED", "Answer", "Asked", "Elements", "Failure", "TensorName", "Values", "VersionNumber"]

_SCALAR = [{"type": "number"}, {"type": "boolean"}, {"type": "string"}]


def _nested(name: str, kinds: list[dict[str, str]], description: str) -> dict[str, Any]:
    nested = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    return {"description": description, "anyOf": [*kinds, nested]}


# Schemas that hold themselves, which pydantic would have to walk element by element to know. JSON Schema cannot say
# that rows are of one length and elements of one type; the doors do.
NESTED: Mapping[str, dict[str, Any]] = {
    "Elements": _nested("Elements", _SCALAR, "A number, a truth value or a text; or a list of such for each axis."),
    "Values": _nested("Values", [*_SCALAR, {"type": "null"}], "As Elements; null where JSON has no such number."),
}
# In a list of one, where pydantic does not look for the schema among its own.
Elements = Annotated[Any, WithJsonSchema({"allOf": [{"$ref": "#/components/schemas/Elements"}]})]
Values = Annotated[Any, WithJsonSchema({"allOf": [{"$ref": "#/components/schemas/Values"}]})]
TensorName = Annotated[str, Field(min_length=1, max_length=256)]
VersionNumber = Annotated[str, Field(pattern="^[0-9]{1,9}$")]


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
