"""Schemas of the V2 protocol's bodies and answers, for the document. ``asked.py`` holds requests to them, cheaper."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema

from rx580lab.serve.schemas import Answer, Asked, Elements, Failure

__all__ = [
    "Empty", "Index", "IndexRequest", "InferenceAnswer", "InferenceRequest", "Live", "LoadRequest",
    "ModelConfiguration", "ModelMetadata", "ModelReady", "NotReady", "ServerMetadata", "ServerReady", "Statistics",
    "UnloadRequest",
]  # fmt: skip

_SCALARS = {"additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "type": "object"}
Scalars = Annotated[dict[str, Any], WithJsonSchema(_SCALARS)]
_TEXT = {"type": "string"}
_LOAD = {
    "type": "object",
    "properties": {"config": _TEXT},
    "patternProperties": {"^file:": _TEXT},
    "additionalProperties": False,
}
LoadParameters = Annotated[dict[str, str], WithJsonSchema(_LOAD)]
Datatype = Literal["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
                   "FP64", "BYTES"]  # fmt: skip
Length = Annotated[int, Field(ge=0)]


class ServerMetadata(Answer):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str] = Field(description="Of the protocol; only what is really there.")


class Live(Answer):
    """The process answers."""

    live: Literal[True]


class ServerReady(Answer):
    """It takes inference."""

    ready: Literal[True]


class NotReady(Failure):
    """Not now."""

    ready: Literal[False]


class ModelReady(Answer):
    """This version answers."""

    name: str
    version: str
    ready: Literal[True]


class TensorMetadata(Answer):
    """An input or an output."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 for lengths that are open.")


class ModelMetadata(Answer):
    """What goes in and comes out."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(Asked):
    """One input; its elements in ``data``, or as ``parameters.binary_data_size`` bytes after the JSON."""

    name: str = Field(min_length=1, max_length=512)
    shape: list[Length]
    datatype: Datatype
    parameters: Scalars | None = None
    data: Elements = None


class OutputAsked(Asked):
    """One output: ``binary_data`` for bytes, ``classification`` for the so many largest elements."""

    name: str = Field(min_length=1, max_length=512)
    parameters: Scalars | None = None


class InferenceRequest(Asked):
    """``parameters``: ``binary_data_output``, ``timeout`` in microseconds, ``priority``, and any others."""

    id: str | None = Field(None, max_length=1024)
    inputs: list[InputTensor]
    outputs: list[OutputAsked] | None = None
    parameters: Scalars | None = None
    model_name: str | None = None
    model_version: str | None = None


class OutputTensor(Answer):
    """One output."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: Elements = None


class InferenceAnswer(Answer):
    """Outputs in the order in which they were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class IndexRequest(Asked):
    """``ready``: only versions that answer."""

    ready: bool | None = None


class IndexEntry(Answer):
    """One version of a model."""

    name: str
    version: str
    state: Literal["UNAVAILABLE", "LOADING", "READY", "UNLOADING"]
    reason: str


class Index(RootModel[list[IndexEntry]]):
    """By name and number."""


class LoadRequest(Asked):
    """``config``: the model's configuration as JSON text; ``file:<path>``: a file as base64, where that is allowed."""

    parameters: LoadParameters | None = None


class UnloadParameters(Asked):
    """``unload_dependents``: versions and ensembles that need it."""

    unload_dependents: bool | None = None


class UnloadRequest(Asked):
    """What goes with it."""

    parameters: UnloadParameters | None = None


class Statistics(Answer):
    """One entry for each version."""

    model_stats: list[dict[str, Any]]


class Empty(Answer):
    """Done."""


class ModelConfiguration(BaseModel):
    """As Triton's model configuration extension writes it."""

    model_config = ConfigDict(extra="allow")

    name: str
    platform: str
    max_batch_size: int
