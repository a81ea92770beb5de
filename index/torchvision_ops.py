"""Lets `import torchvision` succeed where its compiled operators do not load.

Some builds of torchvision expect CUDA libraries; beside a CPU build of torch their `torchvision::nms` is missing, and
the import dies although nothing here uses it. Declaring the two operator schemas first is enough. Where the operators
exist, this does nothing. Import this module before anything that imports torchvision (open_clip, processors of
transformers).
"""

from __future__ import annotations

import importlib.util

import torch

_library: torch.library.Library | None = None


def _operators_load() -> bool:
    """True when torchvision's own compiled operators can be loaded (without importing torchvision itself)."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True
    import pathlib

    for folder in spec.submodule_search_locations:
        for file in sorted(pathlib.Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(str(file))
                return True
            except OSError:
                continue
    return False


def declare() -> None:
    """Declares `torchvision::nms` and `torchvision::qnms` where they are missing. Idempotent."""
    global _library
    if _library is not None or hasattr(torch.ops.torchvision, "nms") or _operators_load():
        return
    _library = torch.library.Library("torchvision", "DEF")
    schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    _library.define("nms" + schema)
    _library.define("qnms" + schema)


declare()
