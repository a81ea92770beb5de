"""TRL over a served environment: pictures from `reset`, tools over the wire, rewards as evaluation has them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openenv.core.env_server.http_server", reason="needs openenv (docs/plugs.md)", exc_type=ImportError)

from agents.card import PolicyCard
from agents.lmm import load_model
from agents.openenv_tools import OpenEnvTools, openenv_rewards
from agents.tools import GlanceOrGazeTools
from benchmarks.openenv_same import serving
from gog_env.env import GlanceOrGazeEnv
from gog_env.plugs.openenv_client import GlanceOrGazeClient
from gog_env.task import Tasks
from gog_env.tasks import read_tasks
from index.errors import ServiceError
from index.knowledge import KnowledgeIndex
from tests.agents.test_tools import calling, rollout, said
from tests.agents.tool_rewards import episode_rewards
from tests.conftest import write_source
from tests.gog_env.conftest import task_rows

CARD = PolicyCard(system=False, result_side=48, spaced=True)
BOX = {"box": [100, 250, 400, 750]}
DONE = {"role": "assistant", "content": "<answer> gold2xyz</answer>"}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Tasks:
    return read_tasks(write_source(tmp_path_factory.mktemp("tasks") / "tiny", *task_rows()))


@pytest.fixture
def env(tiny_index: Path, tasks: Tasks) -> GlanceOrGazeEnv:
    return GlanceOrGazeEnv(KnowledgeIndex.open(tiny_index), tasks, max_turns=3, call_cost=0.01)


MESSAGES = [
    [DONE],
    [calling(("gaze", BOX)), DONE],
    [calling(("glance", {})), calling(("search", {"query": "Corvia"})), DONE],
    [calling(("gaze", BOX), ("search", {"query": "Corvia"})), DONE],
    [calling(("gaze", BOX), ("zoom", {})), calling(("glance", {})), DONE],
    [calling(("gaze", {"box": [400, 100, 100, 600]})), DONE],
    [calling(("glance", {}), text="<answer>gold2xyz</answer>"), DONE],
    [calling(*[("search", {"query": "Corvia"})] * 5), calling(("gaze", BOX)), DONE],
    [calling(("search", {"query": "Corvia"}))] * 4,
    [*said("It is red.")],
]


def test_rollouts_see_and_earn_what_local_ones_do(env: GlanceOrGazeEnv, tasks: Tasks) -> None:
    with serving(env) as (address, _), GlanceOrGazeClient(address).sync() as client:
        remote = OpenEnvTools(client, CARD)
        local = GlanceOrGazeTools({task.id: task for task in tasks}, env.index, env.config, CARD)
        remote._config = env.config  # type: ignore[attr-defined]  (what `rollout` asks a local adapter for)
        earned = []
        for messages in MESSAGES:
            opening = remote.reset(task="t2")
            assert opening is not None and [block["type"] for block in opening] == ["image", "text"]
            assert opening[0]["image"].tobytes() == tasks.by_id("t2").picture().tobytes()
            local.reset(task="t2")
            there, here = rollout(remote, *messages), rollout(local, *messages)  # type: ignore[arg-type]
            assert there == here, "the model reads and sees the same"
            earned.append(openenv_rewards([remote], [there])[0])
            assert [earned[-1]] == pytest.approx(episode_rewards([local], [here]), abs=1e-12)
        assert earned[:3] == pytest.approx([1.0, 0.99, 0.98]) and earned[8] < 0.0


def test_a_lost_server_is_nobodys_mistake(env: GlanceOrGazeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(env) as (address, _), GlanceOrGazeClient(address).sync() as client:
        tools = OpenEnvTools(client, CARD)
        with pytest.raises(ServiceError, match="t99"):
            tools.reset(task="t99")
        tools.reset(task="t2")
        monkeypatch.setattr(env.index, "search_image", lambda *_: (_ for _ in ()).throw(OSError("disc gone")))
        with pytest.raises(RuntimeError):
            tools.glance()
        with pytest.raises(ServiceError, match="t2.*disc gone"):
            openenv_rewards([tools], [said("<answer>gold2xyz</answer>")])


def test_a_connection_that_is_lost_is_nobodys_mistake(env: GlanceOrGazeEnv) -> None:
    with serving(env) as (address, _):
        tools = OpenEnvTools(GlanceOrGazeClient(address).sync(), CARD)
        tools.reset(task="t2")
        other = OpenEnvTools(GlanceOrGazeClient(address).sync(), CARD)
        other.reset(task="t2")
    with pytest.raises(Exception, match="."):
        tools.glance()
    for each in (tools, other):  # one that met it while it played, one that meets it when it is scored
        with pytest.raises(ServiceError, match="the OpenEnv server failed in task 't2'"):
            openenv_rewards([each], [said("<answer>gold2xyz</answer>")])
    with pytest.raises(ServiceError, match="cannot start task 't2'"):
        tools.reset(task="t2")


def test_trl_trains_over_openenv(
    env: GlanceOrGazeEnv, nano_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    model, processor, card = load_model(nano_folder)
    gaze = '<tool_call>\n{"name": "gaze", "arguments": {"box": [100, 250, 400, 750]}}\n</tool_call>'
    right, wrong = "<answer> gold2xyz</answer>", "<answer> no</answer>"
    scripts = [[right], [gaze, right], [gaze, gaze, wrong], [wrong]]
    waiting: list[list[str]] = []

    def write(self: Any, prompt_ids: Any, *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        if len(prompt_ids) == len(scripts):
            waiting[:] = [list(script) for script in scripts]
        texts = [script.pop(0) for script in waiting]
        waiting[:] = [script for script, text in zip(waiting, texts, strict=True) if "<tool_call>" in text]
        return [processor.tokenizer(text + "<|im_end|>")["input_ids"] for text in texts], None

    seen: list[torch.Tensor] = []
    kept = GRPOTrainer._calculate_rewards

    def keep(self: Any, *given: Any, **options: Any) -> torch.Tensor:
        seen.append(kept(self, *given, **options))
        return seen[-1]

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", write)
    monkeypatch.setattr(GRPOTrainer, "_calculate_rewards", keep)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    arguments = GRPOConfig(
        output_dir=str(tmp_path), max_steps=1, num_generations=4, per_device_train_batch_size=4, use_cpu=True,
        max_completion_length=1024, max_tool_calling_iterations=2, report_to="none", save_strategy="no",
        learning_rate=1e-3, logging_steps=1,
    )  # fmt: skip
    rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": ""}]], "task": ["t2"]})
    clients = []

    def session(address: str) -> OpenEnvTools:
        clients.append(GlanceOrGazeClient(address).sync())
        return OpenEnvTools(clients[-1], card)

    with serving(env) as (address, _):
        trainer = GRPOTrainer(
            model, reward_funcs=openenv_rewards, args=arguments, train_dataset=rows, processing_class=processor,
            environment_factory=functools.partial(session, address),
        )  # fmt: skip
        trainer.train()
        for client in clients:
            client.close()
    assert len(clients) == 4 and seen[0][:, 0].tolist() == pytest.approx([1.0, 0.99, 0.08, 0.1])
    assert any(not torch.equal(before[name], part) for name, part in model.state_dict().items()), "it learned something"
    assert trainer.state.log_history[0]["tools/call_frequency"] == pytest.approx(0.75)
