"""People play real episodes through the page's server: same rules, nobody sees the answer early, nobody sees others."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from gog_env import trajectory
from gog_env.actions import Answer, Gaze, Search
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.play import views
from gog_env.play.app import application, files
from gog_env.play.players import Players
from gog_env.play.sessions import Sessions, Start
from gog_env.play.stage import Stage
from gog_env.task import Tasks
from index.knowledge import KnowledgeIndex

from .conftest import region, scene, task_rows, write_source

HERE = "http://localhost:8010"


@pytest.fixture()
def stage(knowledge: KnowledgeIndex, tasks: Tasks) -> Stage:
    return Stage(knowledge, tasks, players=Players(points=[]))


@pytest.fixture()
def page(stage: Stage) -> Iterator[TestClient]:
    with TestClient(application(stage), HERE) as client:
        yield client


def begin(page: TestClient, **start: Any) -> dict[str, Any]:
    answer = page.post("/api/episodes", json=start)
    assert answer.status_code == 200, answer.text
    return answer.json()


def act(page: TestClient, state: dict[str, Any], **action: Any) -> dict[str, Any]:
    path = f"/api/episodes/{state['session']}/act"
    answer = page.post(path, json={"turn": len(state["turns"]), "action": action})
    assert answer.status_code == 200, answer.text
    return answer.json()


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def bring(page: TestClient, data: bytes, question: str = "What is this?", **more: str) -> Any:
    return page.post("/api/own", params={"question": question, **more}, content=data)


def test_an_episode_is_the_environments_own(
    page: TestClient, knowledge: KnowledgeIndex, tasks: Tasks, tmp_path: Path
) -> None:
    box = region(0, 2)
    state = begin(page, number=1)
    assert state["question"] == tasks[0].question and state["place"] == {"number": 1, "of": 8}
    state = act(page, state, type="gaze", box=box)
    state = act(page, state, type="search", query="ally of Arda")
    assert page.get(f"/api/episodes/{state['session']}").json() == state
    over = act(page, state, type="answer", text="gold0XYZ.")

    episode = Episode(tasks[0])
    for action in (Gaze(tuple(box)), Search("ally of Arda"), Answer("gold0XYZ.")):  # type: ignore[arg-type]
        [turn] = step_batch([episode], [action], knowledge)
        shown = over["turns"][len(episode.turns) - 1]
        assert shown["text"] == turn.text
        assert [hit["title"] for hit in shown["hits"]] == [hit.title for hit in turn.hits]
    assert over["done"] and over["reward"]["total"] == episode.reward_parts.total == 1.0
    assert over["answers"] == ["Gold0xyz", "Alias0xyz"] and over["evidence"] == [{"title": "Arda", "found": True}]
    assert [len(hit["text"]) > 0 for hit in over["turns"][0]["hits"]] == [True, False, False], "as a model reads them"

    line = page.get(f"/api/episodes/{state['session']}/trajectory")
    record = json.loads(line.text)
    assert record == json.loads(trajectory.to_line(trajectory.record(episode, knowledge.fingerprint)))
    assert trajectory.replay(record, tasks, knowledge) == 1.0
    assert page.post(f"/api/episodes/{state['session']}/act", json={"turn": 3, "action": {}}).status_code == 409


def test_nothing_before_the_end_depends_on_the_answer(page: TestClient, tasks: Tasks) -> None:
    said = page.get("/api/facts").text
    for number, task in enumerate(tasks, start=1):
        state = begin(page, number=number)
        for action in (
            {"type": "glance"},
            {"type": "gaze", "box": [0, 0, 0.5, 1]},
            {"type": "search", "query": "Galt"},
        ):
            state = act(page, state, **action)
        compared = page.post(f"/api/episodes/{state['session']}/compare").json()
        said += json.dumps([state, compared])
        assert not {"answers", "reward", "regions", "evidence", "kind"} & set(compared)
        assert page.get(f"/api/episodes/{state['session']}/trajectory").status_code == 409
        over = act(page, state, type="answer", text="x")
        assert over["answers"] == list(task.answers) and over["kind"] == task.kind and over["reward"]["accuracy"] == 0
    assert "Gold" not in said and "Alias" not in said


def test_what_the_whole_picture_finds_takes_no_turn_and_is_told(
    page: TestClient, knowledge: KnowledgeIndex, tasks: Tasks
) -> None:
    state = act(page, begin(page, number=1), type="gaze", box=region(0, 2))
    compared = page.post(f"/api/episodes/{state['session']}/compare").json()
    [hits] = knowledge.search_image([tasks[0].picture()], 3)
    assert [hit["title"] for hit in compared["whole"]] == [hit.title for hit in hits]
    assert compared["turns"] == state["turns"] and compared["helped"]
    glanced = act(page, begin(page, number=2), type="glance")
    assert not page.post(f"/api/episodes/{glanced['session']}/compare").json()["helped"]


def test_pictures_are_what_was_searched_with(page: TestClient, tasks: Tasks) -> None:
    state = act(page, begin(page, number=1), type="gaze", box=[0.1, 0.25, 0.4, 0.75])
    whole = page.get(f"/api/episodes/{state['session']}/picture")
    crop = page.get(f"/api/episodes/{state['session']}/looks/1")
    assert Image.open(io.BytesIO(whole.content)).tobytes() == tasks[0].picture().tobytes()
    assert Image.open(io.BytesIO(crop.content)).tobytes() == tasks[0].picture().crop((20, 20, 80, 60)).tobytes()
    thumbnail = page.get("/api/thumbnail", params={"id": state["turns"][0]["hits"][0]["picture"]})
    assert thumbnail.headers["content-type"] == "image/png" and Image.open(io.BytesIO(thumbnail.content)).width == 60
    for path in (f"/api/episodes/{state['session']}/looks/2", "/api/thumbnail?id=nothing", "/api/episodes/nobody"):
        assert page.get(path).status_code == 404 and page.get(path).json()["error"]
    large = views.picture_bytes(Image.new("RGB", (5000, 20)))
    assert Image.open(io.BytesIO(large[0])).size == (2048, 8)
    assert views.picture_bytes(Image.new("RGB", (1500, 1000)))[1] == "image/jpeg"


def test_mistakes_cost_a_turn_as_everywhere_and_turns_run_out(page: TestClient) -> None:
    state = begin(page, number=3)
    odd: list[Any] = [
        {"type": "gaze", "box": [1, 0, 0, 1]},
        {"type": "search", "query": " "},
        {"type": "fly"},
        7,
        None,
        {},
    ]
    for action in odd:
        path = f"/api/episodes/{state['session']}/act"
        state = page.post(path, json={"turn": len(state["turns"]), "action": action}).json()
        assert state["turns"][-1]["error"] and not state["turns"][-1]["hits"]
    assert state["done"] and state["truncated"] and state["answer"] is None
    assert (state["reward"]["accuracy"], state["reward"]["format"], state["reward"]["total"]) == (0, 0, 0)


def test_a_click_that_comes_twice_counts_once(page: TestClient) -> None:
    state = begin(page, number=1)
    path, body = f"/api/episodes/{state['session']}/act", {"turn": 0, "action": {"type": "glance"}}
    with ThreadPoolExecutor(4) as pool:
        found = sorted(answer.status_code for answer in pool.map(lambda _: page.post(path, json=body), range(4)))
    assert found == [200, 409, 409, 409]
    assert len(page.get(f"/api/episodes/{state['session']}").json()["turns"]) == 1


def test_two_people_at_once_do_not_meet(page: TestClient, tasks: Tasks) -> None:
    def play(number: int) -> dict[str, Any]:
        state = begin(page, number=number)
        for query in ("Galt", f"capital {number}", "ally"):
            state = act(page, state, type="search", query=query)
        return act(page, state, type="answer", text=f"Gold{number - 1}xyz")

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(play, range(1, 9)))
    assert len({end["session"] for end in ends}) == 8 and all(len(end["session"]) >= 24 for end in ends)
    for number, end in enumerate(ends, start=1):
        assert end["task"] == tasks[number - 1].id and end["reward"]["total"] == 1.0
        assert [turn["action"].get("query") for turn in end["turns"][:3]] == ["Galt", f"capital {number}", "ally"]


def test_episodes_are_bounded_and_the_oldest_goes_first(stage: Stage) -> None:
    with TestClient(application(stage, sessions=Sessions(most=2)), HERE) as page:
        first, second = begin(page, number=1), begin(page, number=2)
        page.get(f"/api/episodes/{first['session']}")
        third = begin(page, number=3)
        gone = page.get(f"/api/episodes/{second['session']}")
        assert gone.status_code == 404 and "start another" in gone.json()["error"]
        assert all(page.get(f"/api/episodes/{one['session']}").status_code == 200 for one in (first, third))
    photo = png(Image.effect_noise((60, 60), 90).convert("RGB"))
    with TestClient(application(stage, sessions=Sessions(held=len(photo) * 2)), HERE) as page:
        own = [bring(page, photo).json()["session"] for _ in range(3)]
        found = [page.get(f"/api/episodes/{one}").status_code for one in own]
        assert found == [404, 200, 200]


def test_an_own_picture_has_no_score(page: TestClient, knowledge: KnowledgeIndex) -> None:
    state = bring(page, png(scene(4)), "  What\n is this? ").json()
    assert state["question"] == "What is this?" and state["place"] is None and not state["scored"]
    state = act(page, state, type="gaze", box=region(0, 1))
    [hits] = knowledge.search_image([scene(4).crop((20, 20, 80, 60))], 3)
    assert [hit["title"] for hit in state["turns"][0]["hits"]] == [hit.title for hit in hits]
    over = act(page, state, type="answer", text="Estoril")
    assert over["done"] and not {"reward", "answers", "kind"} & set(over)


def test_a_large_photo_is_halved_for_good(page: TestClient, stage: Stage) -> None:
    """Whatever it is decoded for later, it has no more pixels than the check let in."""
    file = io.BytesIO()
    Image.new("RGB", (5200, 4000), "teal").save(file, "JPEG")
    state = bring(page, file.getvalue()).json()
    assert state["picture"] == {"width": 2600, "height": 2000}
    assert act(page, state, type="gaze", box=[0, 0, 0.5, 0.5])["turns"][0]["hits"]
    kept = page.app.state.page.sessions.get(state["session"])  # type: ignore[attr-defined]
    assert kept.episode.picture.size == (2600, 2000) and kept.held == len(kept.episode.task.image)
    small = png(scene(2))
    exact = page.app.state.page.sessions.get(bring(page, small).json()["session"])  # type: ignore[attr-defined]
    assert exact.episode.task.image == small, "what needs no halving stays as it is to the byte"


def test_crops_that_a_player_keeps_are_counted(stage: Stage, tasks: Tasks, knowledge: KnowledgeIndex) -> None:
    session = stage.begin(Start(number=1))
    before = session.weight
    for edge in (0.5, 1.0):
        step_batch([session.episode], [Gaze((0, 0, edge, 1))], knowledge)
    width, height = tasks[0].picture().size
    assert session.weight - before == 3 * height * (width // 2 + width)
    kept, other = Sessions(held=session.weight), stage.begin(Start(number=2))
    kept.add(other)
    kept.add(session)
    assert len(kept) == 2
    step_batch([session.episode], [Gaze((0, 0, 1, 1))], knowledge)
    assert kept.get(session.id) is session and len(kept) == 1, "the other one made room for what it has become"
    session.episode.release()
    assert session.weight == before


def test_texts_that_no_file_can_hold_are_shown_all_the_same(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    odd = Tasks([replace(tasks[0], question="half \ud83d of a pair", answers=("\udc00", "right"))])
    with TestClient(application(Stage(knowledge, odd, players=Players(points=[]))), HERE) as page:
        state = begin(page, number=1)
        assert state["question"] == "half ? of a pair"
        body = json.dumps({"turn": 0, "action": {"type": "search", "query": "\ud83d"}})
        state = page.post(f"/api/episodes/{state['session']}/act", content=body).json()
        over = act(page, state, type="answer", text="right")
        assert over["answers"] == ["?", "right"] and over["turns"][0]["error"]
        assert (
            json.loads(page.get(f"/api/episodes/{state['session']}/trajectory").text)["question"] == state["question"]
        )


def test_pictures_that_cannot_be_had_are_told(page: TestClient, tmp_path: Path, knowledge: KnowledgeIndex) -> None:
    for data in (b"", b"not a picture", png(scene(1))[:60], b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        answer = bring(page, data)
        assert answer.status_code == 422 and "your picture: cannot be read as a picture" in answer.json()["error"]
    bomb = bring(page, png(Image.new("L", (6000, 6000))))
    assert bomb.status_code == 422 and "6000x6000 pixels are more than" in bomb.json()["error"]
    large = bring(page, bytes(views.UPLOAD + 1))
    assert large.status_code == 413 and "16 MiB" in large.json()["error"]
    chunks = page.post("/api/own", params={"question": "?"}, content=(bytes(2**20) for _ in range(20)))
    assert chunks.status_code == 413, "counted while it is read, whatever was told"
    for question in ("", "   ", "x" * 2001):
        assert "1 to 2000 characters" in bring(page, png(scene(1)), question).json()["error"]
    folder = write_source(tmp_path / "tasks", *task_rows())
    (folder / "images/2.png").write_bytes(b"not a picture")
    from gog_env.tasks import read_tasks

    with TestClient(application(Stage(knowledge, read_tasks(folder))), HERE) as other:
        broken = other.post("/api/episodes", json={"number": 3})
        assert broken.status_code == 422 and "task 't2': images/2.png: cannot be read" in broken.json()["error"]
        assert begin(other, number=4)["task"] == "t3"


def test_a_failed_search_counts_nothing(tiny_index: Path, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("index server is down")

    knowledge = KnowledgeIndex.open(tiny_index)
    with TestClient(application(Stage(knowledge, tasks)), HERE) as page:
        state = begin(page, number=1)
        body = {"turn": 0, "action": {"type": "glance"}}
        with monkeypatch.context() as patch:
            patch.setattr(knowledge, "search_image", fail)
            answer = page.post(f"/api/episodes/{state['session']}/act", json=body)
        assert answer.status_code == 503 and "nothing was counted: try again" in answer.json()["error"]
        assert page.get(f"/api/episodes/{state['session']}").json() == state
        assert len(page.post(f"/api/episodes/{state['session']}/act", json=body).json()["turns"]) == 1


@pytest.mark.parametrize(
    "start, status, reason",
    [
        ({"number": 0}, 404, "choose 1 to 8"),
        ({"number": 9}, 404, "choose 1 to 8"),
        ({"kind": "nothing"}, 404, "nothing is left"),
        ({"task": "t99"}, 404, "there is no task 't99'"),
        ({"run": "x"}, 404, "no recorded run"),
        ({"player": "x"}, 404, "no player 'x'"),
        ({"number": "1"}, 400, "number must be"),
        ({"number": True}, 400, "number must be"),
        ({"kind": 3}, 400, "kind must be text"),
        ({"only": "some"}, 400, "right, wrong"),
        ({"answers": 1}, 400, "no field 'answers'"),
    ],
)
def test_starts_that_cannot_be_are_refused(page: TestClient, start: dict, status: int, reason: str) -> None:
    answer = page.post("/api/episodes", json=start)
    assert answer.status_code == status and reason in answer.json()["error"]


def test_bodies_that_are_none_are_refused(page: TestClient) -> None:
    for body, status in ((b"", 400), (b"[1]", 400), (b"{", 400), (b"[" * 60_000, 400), (b"x" * 70_000, 413)):
        assert page.post("/api/episodes", content=body).status_code == status
    assert page.get("/api/nothing").status_code == 404 and page.get("/page/../app.py").status_code == 404


def test_filters_and_random_places(page: TestClient, tasks: Tasks) -> None:
    state = begin(page, kind="gaze", number=2)
    assert state["task"] == "t2" and state["place"] == {"number": 2, "of": 4}
    assert begin(page, task="t5")["place"] == {"number": 6, "of": 8}
    assert len({begin(page)["task"] for _ in range(40)}) > 3
    facts = page.get("/api/facts").json()
    assert facts["tasks"] == {"count": 8, "kinds": {"gaze": 4, "glance": 4}} and facts["documents"] == 12


def test_the_page_loads_nothing_from_elsewhere_and_writes_text_as_text() -> None:
    found = files()
    assert {"/", "/page/main.js", "/page/style.css", "/page/Aileron-Regular.ttf"} <= set(found)
    for path, file in found.items():
        if file.suffix in (".html", ".css", ".js"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"https?:|//\w+\.|@import|innerHTML|outerHTML|insertAdjacent|\beval\b|style=", text), (
                path
            )
            for name in re.findall(r'(?:src|href)="(/[^"]*)"|url\("([^"]*)"\)|from "\./([^"]*)"', text):
                assert f"/page/{''.join(name).removeprefix('/page/')}" in found, f"{path} names {name}"


def test_without_tasks_people_bring_their_own(knowledge: KnowledgeIndex) -> None:
    with TestClient(application(Stage(knowledge, config=EpisodeConfig(max_turns=2))), HERE) as page:
        assert page.get("/api/facts").json()["tasks"] is None
        assert "bring a picture" in page.post("/api/episodes", json={}).json()["error"]
        state = bring(page, png(scene(2))).json()
        assert act(page, act(page, state, type="glance"), type="glance")["truncated"]
