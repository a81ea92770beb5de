"""Recipes are command lines of the training commands, and what accelerate is handed is what it takes."""

from __future__ import annotations

import argparse
import re

import pytest

from agents import recipes, train_rl, train_sft
from index.errors import ModelError

CASES = [(name, stage, kind) for name in recipes.names() for stage in ("sft", "rl") for kind in recipes.KINDS]


def test_the_models_promised_have_recipes() -> None:
    assert recipes.names() == ["qwen2.5-vl-3b", "qwen2.5-vl-7b", "qwen3-vl-2b", "qwen3-vl-4b", "qwen3-vl-8b"]


@pytest.mark.parametrize(("name", "stage", "kind"), CASES)
def test_every_option_of_a_recipe_is_one_of_the_command(
    name: str, stage: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = recipes.recipe_options(f"{name}:{kind}", stage)
    with pytest.raises(SystemExit):
        {"sft": train_sft, "rl": train_rl}[stage].main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    values = dict(zip(options[::2], options[1::2], strict=True))
    assert set(values) <= known
    assert values["--model"].startswith("Qwen/Qwen") and (values["--lora-rank"] == "0") == (kind == "full")


def test_rl_reads_the_numbers_of_a_recipe_and_lets_later_ones_win() -> None:
    line = recipes.expand(["--recipe", "qwen3-vl-8b:full", "--groups", "3"], "rl")
    options = train_rl.parse_arguments([word for word in line if word not in ("--recipe", "qwen3-vl-8b:full")])
    assert (options.model, options.lr, options.beta) == ("Qwen/Qwen3-VL-8B-Instruct", 2e-6, 0.001)
    assert (options.groups, options.group_size, options.max_completion, options.lora_rank) == (3, 8, 8192, 0)


def test_the_papers_numbers_are_in_every_recipe() -> None:
    for name in recipes.names():
        sft, rl = (dict(zip(*[iter(recipes.recipe_options(name, stage))] * 2, strict=True)) for stage in ("sft", "rl"))
        assert (sft["--lora-rank"], float(sft["--lr"]), sft["--epochs"]) == ("8", 1e-4, "3")
        assert int(sft["--batch-size"]) * int(sft["--accumulate"]) == 8
        assert (float(rl["--beta"]), rl["--max-completion"]) == (0.001, "8192")


def test_what_is_no_recipe_is_said_with_what_there_is() -> None:
    for name in ("qwen3-vl-80b", "qwen3-vl-8b:half", ""):
        with pytest.raises(ModelError, match="there is no recipe .*qwen3-vl-2b.*:full"):
            recipes.recipe_options(name, "sft")
    assert recipes.expand(["--steps", "3"], "sft") == ["--steps", "3"]
    assert recipes.expand(["--recipe=qwen3-vl-2b"], "sft")[:2] == ["--model", "Qwen/Qwen3-VL-2B-Instruct"]


def test_both_commands_get_the_same_two_options() -> None:
    parser = argparse.ArgumentParser()
    recipes.add_options(parser)
    assert vars(parser.parse_args([])) == {"recipe": None, "dry_run": None}
    assert parser.parse_args(["--dry-run"]).dry_run == "" and parser.parse_args(["--dry-run", "zero3:4"]).dry_run


@pytest.mark.parametrize(("name", "kind"), [("ddp", ""), ("fsdp2", "FSDP"), ("zero2", "ZERO"), ("zero3", "ZERO")])
def test_accelerate_takes_the_files_for_many_gpus(name: str, kind: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(recipes.FOLDER / f"{name}.yaml"))
    assert (config.mixed_precision, config.num_processes, config.use_cpu) == ("bf16", 8, False)
    if kind == "FSDP":
        assert config.fsdp_config["fsdp_version"] == 2
    if kind == "ZERO":
        assert config.deepspeed_config["zero_stage"] == int(name[-1])


def test_vllm_is_asked_for_by_name_and_only_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recipes.vllm_arguments(None) == {}
    with pytest.raises(ModelError, match="colocate or server"):
        recipes.vllm_arguments("fast")
    from trl import GRPOConfig

    monkeypatch.setattr(recipes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="vLLM is not installed"):
        recipes.vllm_arguments("colocate")
    monkeypatch.setattr(recipes.importlib.util, "find_spec", lambda name: name)
    chosen = recipes.vllm_arguments("server")
    assert chosen["use_vllm"] and set(chosen) <= set(GRPOConfig.__dataclass_fields__)
