"""Knowledge: pictures, documents, encoders and vectors. Imports nothing of `gog_env` or `agents`.

`KnowledgeIndex.open(path)` is the door; the names below load on first use, so that `import index` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from index.errors import (
    BudgetError,
    EncoderError,
    GoGError,
    IntegrityError,
    ModelError,
    ServiceError,
    SourceError,
    TaskError,
)

if TYPE_CHECKING:
    from index.build import build_index
    from index.choose import Budget
    from index.encoder import Encoder, load_encoder
    from index.knowledge import Hit, KnowledgeIndex
    from index.records import Document, Source, read_source

__all__ = [
    "Budget",
    "BudgetError",
    "Document",
    "Encoder",
    "EncoderError",
    "GoGError",
    "Hit",
    "IntegrityError",
    "KnowledgeIndex",
    "ModelError",
    "ServiceError",
    "Source",
    "SourceError",
    "TaskError",
    "build_index",
    "load_encoder",
    "read_source",
]

_HOMES = {
    "Budget": "index.choose",
    "Document": "index.records",
    "Encoder": "index.encoder",
    "Hit": "index.knowledge",
    "KnowledgeIndex": "index.knowledge",
    "Source": "index.records",
    "build_index": "index.build",
    "load_encoder": "index.encoder",
    "read_source": "index.records",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'index' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
