"""Checkpoints of a `transformers` trainer that appear whole or not at all, and hold what the run itself has to keep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from index import torchvision_ops  # noqa: F401  (must come before transformers)

# isort: split
from transformers import Trainer

from agents.checkpoints import STATE
from agents.settings import write_json


class WholeCheckpoints(Trainer):
    """Goes in front of a trainer among a class's bases; a newer checkpoint replaces the older ones."""

    _saving: Path | None = None

    def kept_state(self) -> dict[str, Any]:
        """What a checkpoint holds besides the trainer's own; read again by `agents.checkpoints.state_of`."""
        return {}

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._saving or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Writes a checkpoint beside its place, with all that going on needs, and moves it there when it is whole."""
        folder = Path(str(self.args.output_dir))
        name = f"checkpoint-{self.state.global_step}"
        self._saving = folder / ".saving"
        try:
            if self.accelerator.is_main_process:
                shutil.rmtree(self._saving, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            Trainer._save_checkpoint(self, model, trial)  # TRL's own write a model card each time
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                write_json(self._saving / name / STATE, self.kept_state())
                for file in (self._saving / name).iterdir():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
                older = [one for one in folder.glob("checkpoint-*") if one.name != name]
                shutil.rmtree(folder / name, ignore_errors=True)
                (self._saving / name).rename(folder / name)
                for one in older:
                    shutil.rmtree(one, ignore_errors=True)
            self.accelerator.wait_for_everyone()
        finally:
            self._saving = None
