"""`agents.train_rl` on the world of three colours, for runs on several processes: python -m tests.agents.rl_command

A babbling model earns nothing whatever it does, so rewards come from its words here, the same in every process.
"""

from __future__ import annotations

from typing import Any

from agents import train_rl
from agents.grpo import PolicyTrainer
from tests.agents.conftest import LEFT, RIGHT, ColourIndex, make_task
from tests.agents.tiny_policy import reward_of_words


def world(*given: Any, **options: Any) -> tuple[ColourIndex, list[Any]]:
    """An index and four tasks, whatever is asked for."""
    places = ((), (LEFT,), (RIGHT,), (LEFT, RIGHT))
    return ColourIndex(), [make_task(f"task{number}", (), regions) for number, regions in enumerate(places)]


def main() -> int:
    """The command, with that world and those rewards."""
    PolicyTrainer.reward = reward_of_words(PolicyTrainer.reward)  # type: ignore[method-assign]
    train_rl.open_world = world
    return train_rl.main()


if __name__ == "__main__":
    raise SystemExit(main())
