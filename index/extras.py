"""Which libraries may be missing, and which extra of the installation brings each.

- What an index and the environment need is always installed; the rest comes with an extra, as in
  `pip install 'glance-or-gaze[train]'`. The tables are those of `pyproject.toml`; a test compares them.
- A command calls `need` before anything heavy, so that nobody waits for an index and then hears of a library. What gets
  past it, a library that another one imports, `index.errors.cli` words by the same tables.
"""

from __future__ import annotations

import importlib.util

from index.errors import GoGError

CORE = {
    "bm25s": "bm25s",
    "datasets": "datasets",
    "faiss": "faiss-cpu",
    "gymnasium": "gymnasium",
    "jinja2": "jinja2",
    "numpy": "numpy",
    "open_clip": "open-clip-torch",
    "PIL": "pillow",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
}
"""What is always installed: names of imports, and of what is installed."""
EXTRAS = {
    "accelerate": "train",
    "peft": "train",
    "tensorboard": "train",
    "tokenizers": "train",  # comes with transformers
    "transformers": "train",
    "trl": "train",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "ray": "ray",
    "matplotlib": "plots",
    "jieba": "chinese",
    "imageio_ffmpeg": "video",
    "fastapi": "openenv",
    "fastmcp": "openenv",
    "openenv": "openenv",  # by itself, after the extra: see pyproject.toml
    "pydantic": "openenv",  # comes with fastapi
    "websockets": "openenv",
    "psutil": "test",  # of benchmarks alone, which are no part of the installation
}
"""What may be missing: names of imports, and the extra that brings each."""
AFTER = {"openenv": "pip install --no-deps 'openenv>=0.10,<0.11'"}
"""What an extra cannot bring, because it asks for libraries that exclude ours: how it is installed after the extra."""
MODELS = ("transformers",)
"""What a model that is played needs."""
TRAINING = (*MODELS, "accelerate", "trl")
"""What training needs."""
ADAPTERS = (*TRAINING, "peft")
"""What training LoRA adapters needs."""
SERVING = ("starlette", "uvicorn", "prometheus_client")
"""What serving an index needs."""


def need(*names: str, extra: str | None = None) -> None:
    """Refuses to begin what needs libraries that are not here.

    Args:
        *names: of imports.
        extra: that brings all of them (default: each its own).

    Raises:
        GoGError: names all that are missing, and says what to install.
    """
    if missing := [name for name in names if not is_here(name)]:
        raise GoGError(f"{_listed(missing)} not installed; {remedy(*missing, extra=extra)}")


def is_here(name: str) -> bool:
    """Whether a library can be imported; it is not imported for that."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ValueError, ImportError):  # something stands in `sys.modules` that is no library
        return False


def remedy(*names: str, extra: str | None = None) -> str:
    """What to install where these imports fail.

    >>> remedy("trl", "peft", "uvicorn")
    "pip install 'glance-or-gaze[serve,train]'"
    >>> remedy("faiss"), remedy("wandb")
    ("pip install 'glance-or-gaze' again: it always brings faiss-cpu", 'pip install wandb')
    >>> remedy("openenv")
    "pip install 'glance-or-gaze[openenv]' && pip install --no-deps 'openenv>=0.10,<0.11'"
    """
    if lost := [CORE[name] for name in names if name in CORE]:
        return f"pip install 'glance-or-gaze' again: it always brings {' and '.join(lost)}"
    extras = {extra} if extra else {EXTRAS[name] for name in names if name in EXTRAS}
    if extras:
        after = [AFTER[name] for name in names if name in AFTER]
        return " && ".join([f"pip install 'glance-or-gaze[{','.join(sorted(extras))}]'", *after])
    return f"pip install {' '.join(names)}"


def missing(error: ImportError) -> str | None:
    """What to say about an import that failed for want of a library that the tables know; else None."""
    name = (error.name or "").partition(".")[0]
    known = isinstance(error, ModuleNotFoundError) and (name in CORE or name in EXTRAS)
    if not known or is_here(name):  # a part of a library that is here: its version is another, and a traceback tells
        return None
    return f"{name} is not installed; {remedy(name)}"


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{', '.join(names[:-1])} and {names[-1]} are"
