"""Recipes: how the published models are trained at full size, as options of the commands.

    python -m agents.train_sft --recipe qwen3-vl-4b                     LoRA on one GPU
    accelerate launch --config_file agents/recipes/fsdp2.yaml -m agents.train_rl --recipe qwen3-vl-8b:full

Decisions: a recipe is one TOML file a model, its tables are stages and kinds of training, and its keys are the very
options of `train_sft` and `train_rl`; so a recipe can do nothing that a command line cannot, and whatever is written
after `--recipe` wins over it. Values come with their source. The YAML files beside them are for `accelerate launch`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from index.errors import ModelError

FOLDER = Path(__file__).parent
KINDS = ("lora", "full")


def names() -> list[str]:
    """The models that have recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipe_options(name: str, stage: str) -> list[str]:
    """A recipe as command-line options.

    Args:
        name: a model's recipe, `qwen3-vl-4b` (LoRA, one GPU) or `qwen3-vl-4b:full` (all weights, many GPUs).
        stage: `sft` or `rl`.

    Raises:
        ModelError: there is no such recipe.

    >>> recipe_options("qwen3-vl-4b", "sft")[:4]
    ['--model', 'Qwen/Qwen3-VL-4B-Instruct', '--lora-rank', '8']
    """
    model, _, kind = name.partition(":")
    path = FOLDER / f"{model}.toml"
    if model not in names() or (kind or "lora") not in KINDS:
        raise ModelError(f"there is no recipe {name!r}; choose one of {', '.join(names())}, with :full for all weights")
    recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    chosen: dict[str, Any] = {"model": recipe["model"], **recipe[stage][kind or "lora"]}
    return [word for option, value in chosen.items() for word in (f"--{option}", str(value))]


def expand(argv: Sequence[str] | None, stage: str) -> list[str]:
    """A command line with its recipe's options before all others, so that those win. Without a recipe: as it is.

    Args:
        argv: as `main` takes it; None for the process's own.
        stage: `sft` or `rl`.

    Raises:
        ModelError: there is no such recipe.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--recipe")
    try:
        name = finder.parse_known_args(given)[0].recipe
    except SystemExit:  # "--recipe" without a name: the command's own parser says so
        return given
    return [*recipe_options(name, stage), *given] if name else given


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that both training commands share: `--recipe` and `--dry-run`."""
    parser.add_argument(
        "--recipe", metavar="NAME", help=f"options for a published model: {', '.join(names())}; :full for all weights"
    )
    parser.add_argument(
        "--dry-run", nargs="?", const="", metavar="WHERE",
        help="print tokens, memory and steps, and load nothing; WHERE: fsdp2:8, zero2:8, zero3:8 or ddp:8",
    )  # fmt: skip


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses `--recipe` with `--preset`: which of them were to win nobody could tell from the command line."""
    if options.recipe and options.preset:
        parser.error(
            f"--recipe {options.recipe} has the numbers of --preset {options.preset}, or its reasons for others; "
            "leave one of them out"
        )


def vllm_arguments(mode: str | None) -> dict[str, Any]:
    """TRL's arguments for generation by vLLM: on the trainer's own GPUs (colocate), or by `trl vllm-serve` (server).

    Raises:
        ModelError: vLLM is not installed, or there is no such mode.
    """
    if not mode:
        return {}
    if mode not in ("colocate", "server"):
        raise ModelError(f"vLLM generates as colocate or server, not {mode!r}")
    if importlib.util.find_spec("vllm") is None:
        raise ModelError('vLLM is not installed; pip install "trl[vllm]" on a machine with a GPU, or leave out --vllm')
    return {"use_vllm": True, "vllm_mode": mode, "vllm_gpu_memory_utilization": 0.3}
