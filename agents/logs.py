"""A trainer's logs as JSON lines, one object a step, readable while the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from index import torchvision_ops  # noqa: F401  (must come before transformers)

# isort: split
from transformers import TrainerCallback


class JsonLinesLog(TrainerCallback):
    """Appends what a `transformers` trainer logs to a file."""

    def __init__(self, path: Path) -> None:
        """Remembers the file; it is made at the first log."""
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Writes one line."""
        if state.is_world_process_zero and logs:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}, sort_keys=True) + "\n")
