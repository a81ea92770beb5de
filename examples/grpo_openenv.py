"""GRPO by TRL's own loop in an environment that another process, or another machine, serves over OpenEnv.

    python -m gog_env.plugs.openenv_server &                  # the embedded world, port 8001
    python examples/grpo_openenv.py --steps 2 --groups 2 --group-size 4

The rows hold task ids and nothing else: pictures, questions, searches and rewards come from the server. Each rollout
has a session of its own. This is the road for trainers that stand elsewhere (a server that others can reach has a
token: `--token` or $GOG_TOKEN); `python -m agents.train_rl` is faster on one machine, and has curricula, resuming and
records.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from agents.settings import default_model
from gog_env.plugs.openenv_server import check_installed
from index import extras
from index.errors import ServiceError, cli


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, and saves the model.

    Raises:
        GoGError: a library is missing, or the server cannot be reached.
    """
    parser = argparse.ArgumentParser(
        description="GRPO over OpenEnv.", epilog="example: python examples/grpo_openenv.py --url http://127.0.0.1:8001"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8001", help="of the server (default: %(default)s)")
    parser.add_argument("--token", default=os.environ.get("GOG_TOKEN"), help="the server's (default: $GOG_TOKEN)")
    parser.add_argument("--model", default=str(default_model()), help="model folder (default: the nano policy)")
    parser.add_argument("--tasks", nargs="*", default=[], help="ids of tasks (default: the server draws)")
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps (default: 2)")
    parser.add_argument("--groups", type=int, default=2, help="tasks a step (default: 2)")
    parser.add_argument("--group-size", type=int, default=4, help="rollouts a task (default: 4)")
    parser.add_argument("--out", default="runs/openenv", help="folder (default: %(default)s)")
    options = parser.parse_args(argv)
    extras.need(*extras.TRAINING)
    check_installed()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from agents.lmm import load_model, picture_tokens
    from agents.openenv_tools import OpenEnvTools, openenv_rewards
    from agents.tools import calls_of_any_depth
    from gog_env.plugs.openenv_client import GlanceOrGazeClient

    def session() -> Any:
        headers = {"Authorization": f"Bearer {options.token}"} if options.token else None
        return GlanceOrGazeClient(options.url, headers=headers).sync()

    if not options.tasks:  # the members of a group must have one task, so the drawing happens here
        try:
            with session() as client:
                needed = range(options.steps * options.groups)
                options.tasks = [client.reset(seed=number).observation.task_id for number in needed]
        except (OSError, RuntimeError) as error:
            said = f"{options.url} serves no environment ({error}); start one, or give its --token"
            raise ServiceError(said) from None
    model, processor, card = load_model(options.model)
    rows = Dataset.from_dict(
        {"prompt": [[{"role": "user", "content": ""}]] * len(options.tasks), "task": list(options.tasks)}
    )
    arguments = GRPOConfig(
        output_dir=options.out, max_steps=options.steps, num_generations=options.group_size,
        per_device_train_batch_size=options.groups * options.group_size, max_completion_length=1536,
        max_tool_calling_iterations=5, generation_kwargs={"suppress_tokens": picture_tokens(model)}, top_k=0,
        learning_rate=1e-5, logging_steps=1, save_strategy="no", report_to="none", bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    with calls_of_any_depth(processor.tokenizer):
        trainer = GRPOTrainer(
            model, reward_funcs=openenv_rewards, args=arguments, train_dataset=rows, processing_class=processor,
            environment_factory=lambda: OpenEnvTools(session(), card),
        )  # fmt: skip
        trainer.train()
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    card.save(options.out)
    print(f"model in {options.out}")


if __name__ == "__main__":
    cli(main)
