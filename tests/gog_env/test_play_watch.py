"""Policies are found by entry points and watched turn by turn; recorded runs are shown as they were."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gog_env import trajectory
from gog_env.actions import Action, Answer, Gaze, Glance, Search
from gog_env.episode import Episode, EpisodeConfig, EpisodeView, step_batch
from gog_env.play.app import application
from gog_env.play.players import GROUP, PlayerOptions, Players
from gog_env.play.runs import open_runs
from gog_env.play.stage import Stage
from gog_env.task import Tasks
from index.errors import ModelError, TaskError
from index.knowledge import KnowledgeIndex

from .conftest import region, scene
from .test_play import HERE, begin, bring, png

ROOT = Path(__file__).resolve().parent.parent.parent


class Scripted:
    """Glances, then answers with how many turns it has seen; its rules are three hits' texts and four turns."""

    config = EpisodeConfig(max_turns=4, texts=3)

    def act(self, views: Sequence[EpisodeView]) -> list[Action]:
        return [Answer(f"Gold{view.task_id[1:]}xyz") if view.turns else Glance(thought="look <b>") for view in views]


class Strange:
    """Whatever a player can do wrong."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def act(self, views: Sequence[EpisodeView]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Point(EntryPoint):
    """An entry point that loads what it is given."""

    def __new__(cls, name: str, made: Any) -> Any:
        point = super().__new__(cls)
        vars(point).update(name=name, value="x:y", group=GROUP, made=made)
        return point

    def __init__(self, *_: Any) -> None:
        pass

    def load(self) -> Any:
        if isinstance(vars(self)["made"], Exception):
            raise vars(self)["made"]
        return lambda tasks, index, options: vars(self)["made"]


def client(stage: Stage) -> TestClient:
    return TestClient(application(stage), HERE)


def play(page: TestClient, state: dict[str, Any]) -> Any:
    return page.post(f"/api/episodes/{state['session']}/play", json={"turn": len(state["turns"])})


def declared() -> list[EntryPoint]:
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    return [EntryPoint(name, value, GROUP) for name, value in entries.items()]


def test_a_player_is_watched_turn_by_turn_under_its_own_rules(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    with client(Stage(knowledge, tasks, players=Players(points=[Point("scripted", Scripted())]))) as page:
        assert page.get("/api/facts").json()["players"] == ["scripted"]
        state = begin(page, number=2, player="scripted")
        assert state["player"] == "scripted" and state["rules"]["max_turns"] == 4 and state["turns"] == []
        state = play(page, state).json()
        assert state["turns"][0]["action"] == {"type": "glance", "thought": "look <b>"}
        assert all(hit["text"] for hit in state["turns"][0]["hits"])
        assert not page.post(f"/api/episodes/{state['session']}/compare").json()["helped"]
        over = play(page, state).json()
        assert over["done"] and over["reward"]["total"] == 1.0
        assert play(page, over).status_code == 409
        assert play(page, begin(page, number=1)).status_code == 409, "nobody plays it but the person"
        own = bring(page, png(scene(4)), player="scripted").json()
        assert not play(page, play(page, own).json()).json()["scored"]


@pytest.mark.parametrize(
    "answer, reason",
    [
        (ValueError("no luck"), "player odd failed .ValueError: no luck"),
        ([], "did not give one action"),
        (None, "did not give one action"),
        ([Glance(), Glance()], "did not give one action"),
        (ModelError("no weights; name others"), "no weights; name others"),
    ],
)
def test_what_goes_wrong_in_a_player_leaves_the_episode(
    knowledge: KnowledgeIndex, tasks: Tasks, answer: Any, reason: str
) -> None:
    import re

    with client(Stage(knowledge, tasks, players=Players(points=[Point("odd", Strange(answer))]))) as page:
        state = begin(page, number=1, player="odd")
        refused = play(page, state)
        assert refused.status_code == 422 and re.search(reason, refused.json()["error"])
        assert page.get(f"/api/episodes/{state['session']}").json() == state


def test_players_that_cannot_be_loaded_are_told(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    missing = ModuleNotFoundError("No module named 'transformers'", name="transformers")
    players = Players(points=[Point("needy", missing), Point("broken", SyntaxError("oh"))])
    assert players.names == ("broken", "needy")
    with pytest.raises(
        ModelError, match=r"needy: transformers is not installed; pip install 'glance-or-gaze\[train\]'"
    ):
        players.make("needy", tasks, knowledge)
    with pytest.raises(ModelError, match="player broken failed .SyntaxError: oh"):
        players.make("broken", tasks, knowledge)
    with pytest.raises(ModelError, match="no player 'x'; choose among broken, needy"):
        players.make("x", tasks, knowledge)
    with pytest.raises(ModelError, match="none is installed"):
        Players(points=[]).make("x", tasks, knowledge)


def test_the_players_of_this_project_are_there_and_play(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    players = Players(PlayerOptions(seed=3), declared())
    assert {"glance", "oracle-crop", "model"} <= set(players.names)
    with client(Stage(knowledge, tasks, players=players)) as page:
        for name in players.names:
            if name == "model":
                continue
            state = begin(page, number=1, player=name)
            while not state["done"]:
                state = play(page, state).json()
            assert state["answer"] and (state["reward"]["accuracy"] == 1.0 or "oracle" not in name)
    assert all(callable(point.load()) for point in declared())


@pytest.mark.slow
def test_the_shipped_model_plays(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    with client(Stage(knowledge, tasks, players=Players(points=declared()))) as page:
        state = begin(page, number=2, player="model")
        while not state["done"]:
            state = play(page, state).json()
        assert any(turn["action"].get("thought") for turn in state["turns"])


def recorded(folder: Path, tasks: Tasks, knowledge: KnowledgeIndex) -> Path:
    """Two episodes, the first right, in a folder of a run."""
    records = []
    for task, end in ((tasks[0], "Gold0xyz"), (tasks[1], "wrong")):
        episode = Episode(task, EpisodeConfig(max_turns=5), seed=4)
        for action in (Gaze(tuple(region(0, 2))), Search("ally of Arda"), Answer(end)):  # type: ignore[arg-type]
            step_batch([episode], [action], knowledge)
        records.append(trajectory.record(episode, knowledge.fingerprint))
    trajectory.write(folder / "trajectories.jsonl", records)
    return folder


def test_a_recorded_run_is_shown_as_it_was(knowledge: KnowledgeIndex, tasks: Tasks, tmp_path: Path) -> None:
    recorded(tmp_path / "oracle", tasks, knowledge)
    (tmp_path / ".rl.unfinished").mkdir()
    (tmp_path / ".rl.unfinished" / "trajectories.jsonl").write_text('{"torn')
    runs = open_runs([tmp_path])
    with client(Stage(knowledge, tasks, runs=tuple(runs))) as page:
        [run] = page.get("/api/facts").json()["runs"]
        assert run == {"name": "oracle", "count": 2, "kinds": {"gaze": 1, "glance": 1}}
        state = begin(page, run="oracle", number=1)
        assert state["done"] and state["notes"] == [] and state["reward"]["total"] == 1.0
        assert [turn["action"]["type"] for turn in state["turns"]] == ["gaze", "search", "answer"]
        assert state["turns"][0]["hits"][0]["text"].startswith("Arda has the capital")
        wrong = begin(page, run="oracle", only="wrong", number=1)
        assert wrong["task"] == "t1" and wrong["place"] == {"number": 1, "of": 1}
        assert page.post("/api/episodes", json={"run": "oracle", "only": "right", "kind": "glance"}).status_code == 404
        assert page.post(f"/api/episodes/{state['session']}/play", json={"turn": 3}).status_code == 409
        body = {"turn": 3, "action": {"type": "glance"}}
        assert page.post(f"/api/episodes/{state['session']}/act", json=body).status_code == 409
        assert page.get(f"/api/episodes/{state['session']}/looks/1").status_code == 200
        line = json.loads(page.get(f"/api/episodes/{state['session']}/trajectory").text)
        assert line == runs[0].record(0)


def test_runs_that_do_not_fit_are_told(knowledge: KnowledgeIndex, tasks: Tasks, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a", tasks, knowledge)
    again = recorded(tmp_path / "b" / "a", tasks, knowledge)
    assert [run.name for run in open_runs([folder, again, folder])] == ["a", "a-2"]
    with client(Stage(knowledge, Tasks(list(tasks)[1:]), runs=tuple(open_runs([folder])))) as page:
        refused = page.post("/api/episodes", json={"run": "a", "number": 1})
        assert refused.status_code == 422 and "there is no task 't0'" in refused.json()["error"]
    file = folder / "trajectories.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    other = json.loads(lines[0]) | {"index": "0" * 64, "picture": "0" * 64}
    file.write_text(json.dumps(other) + "\n", encoding="utf-8")
    with client(Stage(knowledge, tasks, runs=tuple(open_runs([folder])))) as page:
        notes = begin(page, run="a", number=1)["notes"]
        assert len(notes) == 2 and "another index" in notes[0] and "picture has changed" in notes[1]
    for damaged in ("{", json.dumps(other | {"reward": {}}), json.dumps(other | {"version": 9})):
        file.write_text(damaged + "\n", encoding="utf-8")
        with pytest.raises(TaskError, match="trajectories.jsonl, line 1"):
            open_runs([folder])
    file.write_text(json.dumps(other | {"config": {"max_turns": "x"}}) + "\n", encoding="utf-8")
    with client(Stage(knowledge, tasks, runs=tuple(open_runs([folder])))) as page:
        refused = page.post("/api/episodes", json={"run": "a", "number": 1})
        assert refused.status_code == 422 and "cannot be read" in refused.json()["error"]
