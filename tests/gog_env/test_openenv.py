"""The OpenEnv server and client: 64 sessions at once like local episodes to the bit, limits, tokens, failures."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest

pytest.importorskip("openenv.core.env_server.http_server", reason="needs openenv (docs/plugs.md)", exc_type=ImportError)

from benchmarks.openenv_same import compare, serving
from gog_env.actions import Answer, Gaze, Glance, Malformed
from gog_env.env import GlanceOrGazeEnv
from gog_env.plugs import openenv_server
from gog_env.plugs.openenv_client import GlanceOrGazeClient, gym_observation, picture_of
from gog_env.plugs.openenv_models import GlanceOrGazeAction, from_text, to_text
from gog_env.plugs.openenv_sessions import GlanceOrGazeSession
from gog_env.task import Tasks
from index.errors import GoGError, ServiceError, TaskError
from index.knowledge import KnowledgeIndex
from tests.gog_env.conftest import scene


@pytest.fixture
def env(knowledge: KnowledgeIndex, tasks: Tasks) -> GlanceOrGazeEnv:
    return GlanceOrGazeEnv(knowledge, tasks)


@pytest.fixture
def address(env: GlanceOrGazeEnv) -> Iterator[str]:
    with serving(env, sessions=3, split="tiny") as (address, _):
        yield address


def asked(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict]:
    headers.setdefault("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def test_64_sessions_at_once_are_local_episodes_to_the_bit(
    env: GlanceOrGazeEnv, tiny_index: Path, tasks: Tasks
) -> None:
    local = GlanceOrGazeEnv(KnowledgeIndex.open(tiny_index, cache_bytes=0), tasks)
    facts = compare(env, local, sessions=64)
    assert facts["episodes"] == 64 and facts["steps"] > 300 and facts["different"] == []
    assert facts["largest batch"] > 1, "nothing was searched for in company"


def test_a_difference_would_be_found(env: GlanceOrGazeEnv, knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    other = GlanceOrGazeEnv(knowledge, tasks, call_cost=0.01)
    assert compare(env, other, sessions=2)["different"] == [0, 1]


def test_plain_code_plays_an_episode(address: str, env: GlanceOrGazeEnv) -> None:
    with GlanceOrGazeClient(address).sync() as client:
        first = client.reset(seed=3, episode_id="e1", task="t2")
        assert first.reward is None and not first.done and first.observation.task_id == "t2"
        assert picture_of(first.observation).tobytes() == env.tasks.by_id("t2").picture().tobytes()
        found = client.step(Gaze((0.1, 0.25, 0.4, 0.75))).observation
        assert found.results.startswith("[1] ") and found.picture is None and found.outcome is None
        assert "Gold2xyz" not in found.model_dump_json(), "nothing tells the answer before the end"
        with pytest.raises(ValueError, match="keep that one"):
            picture_of(found)
        state = client.state()
        assert (state.episode_id, state.step_count, state.task_id, state.turns_left) == ("e1", 1, "t2", 5)
        done = client.step((3, "Gold2xyz"))
        outcome = done.observation.outcome
        assert done.done and done.reward == 1.0 and outcome is not None and outcome.accuracy == 1.0 and outcome.answered
        with pytest.raises(RuntimeError, match="reset it first"):
            client.step(Glance())
        assert client.reset(split="tiny", index=5).observation.task_id == "t5", "the session goes on"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "gaze", "box": "everything"},
        {"type": "gaze", "box": [0.5, 0.1, 0.2, 0.4]},
        {"type": "gaze"},
        {"type": ["search"]},
        {"type": "search", "query": 7},
        {"type": "zoom", "factor": 2},
        {"box": [0.1, 0.1, 0.5, 0.5], "metadata": "left to right"},
        {},
        {"type": "malformed", "reason": "no JSON"},
    ],
)
def test_a_policys_mistake_is_a_turn_and_never_an_error(env: GlanceOrGazeEnv, odd: dict) -> None:
    session = GlanceOrGazeSession(env)
    session.reset(seed=0)
    seen = session.step(GlanceOrGazeAction(**odd))
    assert seen.results.startswith("Invalid action: ") and seen.turns_left == 5 and not seen.done
    assert session.step(GlanceOrGazeAction.of(Answer("no"))).outcome.format == 0.0  # type: ignore[union-attr]


def test_what_reset_does_not_know_is_said(env: GlanceOrGazeEnv) -> None:
    session = GlanceOrGazeSession(env, split="tiny")
    for arguments, said in (
        ({"sede": 1}, "unknown argument 'sede'"),
        ({"pictures": "no"}, "pictures is 'no'; it is true or false"),
        ({"task": "t99"}, "no task 't99'"),
        ({"task": "t1", "index": 1}, "leave one of them out"),
        ({"split": "test", "index": 1}, "no split 'test'"),
    ):
        with pytest.raises(TaskError, match=said):
            session.reset(**arguments)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        session.reset(index=8)
    with pytest.raises(gymnasium.error.ResetNeeded):
        session.step(GlanceOrGazeAction.of(Glance()))


def test_a_failing_search_is_nobodys_mistake(
    env: GlanceOrGazeEnv, knowledge: KnowledgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(env) as (address, _), GlanceOrGazeClient(address).sync() as client:
        client.reset(seed=0)
        with monkeypatch.context() as broken:
            broken.setattr(knowledge, "search_image", lambda *_: (_ for _ in ()).throw(OSError("disc gone")))
            with pytest.raises(RuntimeError, match="disc gone"):
                client.step(Glance())
        assert client.state().step_count == 0, "the episode is as before"
        assert client.step(Glance()).observation.turns_left == 5


def test_more_sessions_than_allowed_are_refused(address: str) -> None:
    clients = [GlanceOrGazeClient(address).sync() for _ in range(4)]
    try:
        for client in clients[:3]:
            client.reset(seed=0)
        with pytest.raises(RuntimeError, match="CAPACITY_REACHED"):
            clients[3].reset(seed=0)
        clients[0].close()
        clients[3].reset(seed=0)
    finally:
        for client in clients:
            client.close()


def test_a_message_that_no_action_needs_ends_the_session(env: GlanceOrGazeEnv, address: str) -> None:
    with GlanceOrGazeClient(address).sync() as client:
        client.reset(seed=0)
        long = client.step(GlanceOrGazeAction(type="search", query="x" * 70_000)).observation
        assert long.results.startswith("Invalid action: the query has 70000 characters"), "a policy's mistake is a turn"
        with pytest.raises(Exception, match="1009|too big|close"):
            client.step(GlanceOrGazeAction(type="search", query="x" * 1_100_000))
    with serving(env, most_bytes=1 << 16) as (small, _):
        status, said = asked(f"{small}/step", b'{"action": {"type": "answer", "text": "' + b"x" * 70_000 + b'"}}')
    assert status == 413 and "65,536 bytes" in said["error"]


def test_silence_ends_a_session_and_frees_its_place(env: GlanceOrGazeEnv) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with serving(env, sessions=1, idle=0.5) as (address, app):
        with connect(address.replace("http", "ws") + "/ws") as silent:
            silent.send(json.dumps({"type": "reset", "data": {"seed": 0}}))
            assert json.loads(silent.recv())["data"]["done"] is False
            with pytest.raises(ConnectionClosed) as ended:
                silent.recv(timeout=120)
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 1001
            assert "nothing was said for 0.5 seconds" in ended.value.rcvd.reason
        with GlanceOrGazeClient(address).sync() as client:
            assert client.reset(seed=0).observation.turns_left == 6


def test_a_client_that_goes_in_the_middle_of_a_step_harms_nobody(
    env: GlanceOrGazeEnv, knowledge: KnowledgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    from websockets.sync.client import connect

    begun, go_on, search = threading.Event(), threading.Event(), knowledge.search_image

    def slow(*given: object) -> object:
        begun.set()
        assert go_on.wait(60)
        return search(*given)  # type: ignore[arg-type]

    with serving(env, sessions=2) as (address, _), GlanceOrGazeClient(address).sync() as other:
        other.reset(seed=1)
        with connect(address.replace("http", "ws") + "/ws") as lost:
            lost.send(json.dumps({"type": "reset", "data": {"seed": 0}}))
            lost.recv()
            monkeypatch.setattr(knowledge, "search_image", slow)
            lost.send(json.dumps({"type": "step", "data": {"type": "glance"}}))
            assert begun.wait(60)
            lost.socket.shutdown(socket.SHUT_RDWR)
        go_on.set()
        assert other.step(Glance()).observation.turns_left == 5
        for _ in range(600):  # the server notices in its own time
            with contextlib.suppress(RuntimeError), GlanceOrGazeClient(address).sync() as third:
                assert third.reset(seed=2).observation.turns_left == 6, "the place of the lost one is free"
                break
            time.sleep(0.1)
        else:
            pytest.fail("the place of the lost client was never free")


def test_who_may_not_ask_is_refused(env: GlanceOrGazeEnv, address: str) -> None:
    assert asked(f"{address}/schema", Origin="http://evil.example")[0] == 403
    assert asked(f"{address}/schema", Host="evil.example:8001")[0] == 403, "a name that was made to point here"
    assert asked(f"{address}/schema", Host="localhost:8001")[0] == 200
    assert asked(f"{address}/health")[0] == 200
    with serving(env, token="s3cret") as (locked, _):
        assert asked(f"{locked}/health")[0] == 200 and asked(f"{locked}/schema")[0] == 401
        with pytest.raises(ConnectionError, match="403"), GlanceOrGazeClient(locked).sync() as client:
            client.reset()
        headers = {"Authorization": "Bearer s3cret"}
        assert asked(f"{locked}/schema", **headers)[0] == 200
        with GlanceOrGazeClient(locked, headers=headers).sync() as client:
            assert client.reset(seed=0).observation.turns_left == 6


def test_the_schema_and_the_tasks_are_told_and_no_answer(address: str) -> None:
    schema = asked(f"{address}/schema")[1]
    assert schema["action"]["properties"]["type"]["enum"] == ["glance", "gaze", "search", "answer"]
    assert schema["action"]["required"] == ["type"] and "outcome" in schema["observation"]["properties"]
    assert [one["name"] for one in asked(f"{address}/GoG-VQA-v0/splits")[1]] == ["tiny"]
    listed = asked(f"{address}/GoG-VQA-v0/tasks", b'{"split": "tiny"}')[1]
    assert "t3" in json.dumps(listed) and "Gold" not in json.dumps(listed) and "glance" not in json.dumps(listed)
    assert asked(f"{address}/step", b'{"action": {"type": "glance"}}')[0] == 409, "no episode lives over plain HTTP"


def test_generic_clients_play_too(address: str) -> None:
    from openenv.core.generic_client import GenericEnvClient

    with GenericEnvClient(address).sync() as client:
        assert client.reset(task="t1").observation["turns_left"] == 6
        forgot = client.step({"text": "gold1xyz"})  # no error that ends a rollout
        assert forgot.observation["results"].startswith("Invalid action: there is no action None")
        assert client.step({"type": "answer", "text": "gold1xyz"}).reward == pytest.approx(0.9)


def test_large_pictures_travel_smaller_and_are_searched_whole(env: GlanceOrGazeEnv) -> None:
    picture = scene(0, 3)
    assert from_text(to_text(picture)).tobytes() == picture.tobytes()
    assert from_text(to_text(picture, most=100 * 40)).size == (100, 40)
    sessions = [GlanceOrGazeSession(env.twin(), most=most) for most in (4000, 1 << 22)]
    seen = [session.reset(task="t0") for session in sessions]
    assert picture_of(seen[0]).size == (100, 40) and seen[0].size == seen[1].size == (200, 80)
    found = [session.step(GlanceOrGazeAction.of(Gaze((0.1, 0.2, 0.4, 0.8)))) for session in sessions]
    assert found[0] == found[1]


def test_a_client_that_reads_only_words_gets_only_words(env: GlanceOrGazeEnv) -> None:
    session, whole = GlanceOrGazeSession(env.twin()), GlanceOrGazeSession(env.twin())
    session.reset(task="t0", pictures=False)
    whole.reset(task="t0")
    words, pixels = (each.step(GlanceOrGazeAction.of(Glance())) for each in (session, whole))
    assert words.results == pixels.results and words.thumbnails == [] and any(pixels.thumbnails)
    assert len(words.model_dump_json()) < 2000
    first = session.reset(task="t0", pictures=False)
    with pytest.raises(ValueError, match="unless asked for none"):
        picture_of(first)
    assert session.reset(task="t0").picture is not None, "it is asked for with every reset"


def test_thumbnails_are_those_of_the_environment(env: GlanceOrGazeEnv) -> None:
    session, here = GlanceOrGazeSession(env.twin()), env.twin()
    first, _ = session.reset(task="t0"), here.reset(options={"task": "t0"})
    now = session.step(GlanceOrGazeAction.of(Glance()))
    observation = here.step(Glance())[0]
    assert (gym_observation(first, now)["thumbnails"] == observation["thumbnails"]).all()
    assert observation["thumbnails"].any()
    assert session.step(GlanceOrGazeAction.of(Malformed("x"))).thumbnails == []


def test_the_command_refuses_before_it_opens(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceError, match="token"):
        openenv_server.main(["--host", "0.0.0.0"])
    with pytest.raises(GoGError, match="--tasks"):
        openenv_server.main(["--index", "somewhere"])
    with pytest.raises(SystemExit) as ended:
        openenv_server.main(["--help"])
    assert ended.value.code == 0 and len(capsys.readouterr().out.splitlines()) <= 60
