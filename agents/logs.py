"""A trainer's logs as JSON lines, one object a step, readable while the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from index import torchvision_ops  # noqa: F401  (must come before transformers)

# isort: split
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback


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


def cut_log(path: Path, step: int) -> None:
    """Forgets what a broken-off run logged after the step that it goes on from."""
    if path.exists():
        kept = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept), "utf-8")


class StepBar(TrainerCallback):
    """One progress bar with the loss and the reward behind it, in place of a printed dictionary at every step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Opens the bar."""
        self.bar = tqdm(total=state.max_steps, unit="step", disable=not state.is_world_process_zero)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Moves the bar on."""
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Shows the last figures."""
        shown = {name: f"{logs[name]:.3f}" for name in ("loss", "reward") if logs and name in logs}
        if shown:
            self.bar.set_postfix(shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closes the bar."""
        self.bar.close()


def quiet(trainer: Any) -> None:
    """Replaces a trainer's printed logs by a `StepBar`."""
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(StepBar())
