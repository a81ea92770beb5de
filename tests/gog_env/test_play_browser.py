"""The page in a real Chromium: mouse, keys and touch; a broken picture; two people at once; nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from benchmarks.browser import browser, find
from gog_env.play.app import application
from gog_env.play.players import Players
from gog_env.play.stage import Stage
from gog_env.task import Task, Tasks
from index.errors import GoGError
from index.knowledge import KnowledgeIndex
from index.serve import serving

from .conftest import region, scene
from .test_play import png
from .test_play_watch import Point, Scripted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=document.title='taken'> & <script>document.title='taken'</script> who?"
SECONDS = 60_000  # milliseconds, on a machine that is busy with other things
#: Texts whose contrast with what lies behind them is below 4.5 (WCAG 2.2 AA); large ones are held to the same.
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".unseen, .skip")) continue;
    let behind = element;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const ground = behind ? parse(getComputedStyle(behind).backgroundColor) : [255, 255, 255];
    const [low, high] = [light(parse(getComputedStyle(element).color)), light(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push([element.tagName, element.textContent.slice(0, 40), ratio]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def address(knowledge: KnowledgeIndex, tasks: Tasks) -> Iterator[str]:
    asked = Tasks([*tasks, Task("hostile", HOSTILE, ("<b>Gold</b>",), scene(1), kind="<i>odd</i>")])
    stage = Stage(knowledge, asked, players=Players(points=[Point("scripted", Scripted())]))
    with serving(application(stage)) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        find()
    except GoGError as error:
        pytest.skip(str(error))
    with browser(["--host-resolver-rules=MAP evil.example 127.0.0.1"]) as running:
        yield running


@pytest.fixture()
def person(chromium: Browser, address: str) -> Iterator[Any]:
    """Opens pages of different people; at the end none of them may have complained or asked anybody else."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def come(path: str = "/", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: request.url.startswith(address) or wrong.append(request.url))
        page.on(
            "console", lambda said: said.type == "error" and "status of 4" not in said.text and wrong.append(said.text)
        )
        page.goto(address + path)
        page.wait_for_selector("#table:not([hidden])")
        return page

    yield come
    for context in contexts:
        context.close()
    assert wrong == []


def drag(page: Page, box: list[float]) -> None:
    """Draws a box with the mouse; edges in 0..1 of the picture."""
    room = page.locator("#stage").bounding_box()
    assert room is not None
    x = [room["x"] + edge * room["width"] for edge in (box[0], box[2])]
    y = [room["y"] + edge * room["height"] for edge in (box[1], box[3])]
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    page.mouse.move((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, steps=3)
    page.mouse.move(x[1], y[1], steps=3)
    page.mouse.up()


def edges(page: Page) -> list[float]:
    return [float(page.input_value(f"#gaze [name={name}]") or "nan") for name in ("x0", "y0", "x1", "y1")]


def titles(page: Page, column: int = 0) -> list[str]:
    found = page.locator("#results .column").nth(column).locator("strong").all_inner_texts()
    return [title.split(". ", 1)[1] for title in found]


def test_with_the_mouse_from_box_to_score(person: Any, knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    page = person()
    assert page.inner_text("#question") == tasks[0].question
    page.click("text=search with the box")
    assert "Draw a box" in page.inner_text("#notice")
    drag(page, [0.1, 0.25, 0.4, 0.75])
    assert edges(page) == pytest.approx([0.1, 0.25, 0.4, 0.75], abs=0.011)
    page.click("text=search with the box")
    page.wait_for_selector("#results .column:nth-child(2) .hit")
    [whole] = knowledge.search_image([tasks[0].picture()], 3)
    assert titles(page)[0] == "Arda" and titles(page, 1) == [hit.title for hit in whole]
    assert "Arda has the capital Ardaville" in page.inner_text("#results .says")
    page.fill("#search input", "ally of Arda")
    page.press("#search input", "Enter")
    page.wait_for_selector("#turns li:nth-child(2)")
    [found] = knowledge.search_text(["ally of Arda"], 3)
    assert titles(page) == [hit.title for hit in found]
    page.fill("#answer input", "gold0xyz")
    page.click("#answer button")
    page.wait_for_selector("#outcome:not([hidden])")
    told = page.inner_text("#outcome")
    assert "Correct · reward 1" in told and "Gold0xyz" in told and "Arda (found)" in told
    assert page.locator(".mark.gold").count() == 1 and not page.is_visible("#acting")
    with page.expect_download() as saved:
        page.click("text=Save the episode")
    assert '"task_id": "t0"' in saved.value.path().read_text(encoding="utf-8")
    page.click("#turns li:first-child button")
    assert titles(page)[0] == "Arda"
    page.click("text=Next task")
    page.wait_for_selector("#past", state="hidden")
    assert page.inner_text("#question") == tasks[1].question
    assert page.evaluate("document.activeElement.id") == "question", "the button that had the focus is gone"


def test_the_box_is_drawn_moved_and_resized(person: Any) -> None:
    page = person()
    drag(page, [0.7, 0.8, 0.3, 0.4])
    assert edges(page) == pytest.approx([0.3, 0.4, 0.7, 0.8], abs=0.011), "in any direction"
    drag(page, [0.5, 0.6, 0.6, 0.5])
    assert edges(page) == pytest.approx([0.4, 0.3, 0.8, 0.7], abs=0.011), "moved from its inside"
    drag(page, [0.8, 0.7, 0.95, 0.9])
    assert edges(page) == pytest.approx([0.4, 0.3, 0.95, 0.9], abs=0.011), "by a corner"
    drag(page, [0.7, 0.6, 1.4, 0.6])
    assert edges(page)[2] == 1.0 and edges(page)[0] == pytest.approx(0.45, abs=0.011), "it stays whole within"
    for name, value in zip(("x0", "y0", "x1", "y1"), ("0.5", "0.1", "0.2", "0.3"), strict=True):
        page.fill(f"#gaze [name={name}]", value)
    page.press("#gaze [name=y1]", "Enter")
    assert "four edges" in page.inner_text("#notice") and edges(page) == [0.5, 0.1, 0.2, 0.3]
    assert page.locator("#turns li").count() == 0, "what cannot be a box costs no turn here"


def test_with_keys_alone(person: Any, tasks: Tasks) -> None:
    page = person("/#task=t2")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => { const e = document.activeElement, look = getComputedStyle(e);
            return [e.id || e.name || e.dataset.mode || (e.closest("form")?.id ?? "") + " " + e.tagName.toLowerCase(),
                    e === document.body || parseFloat(look.outlineWidth) >= 2 && look.outlineStyle !== "none"]; }"""
        )
        assert here[1], f"{here[0]} has the focus and does not show it"
        if here[0] == " body":
            break
        reached.append(here[0])
    wanted = ["play", "watch", "own", "kind", "number", "previous", "next", "random", "stage", "gaze button", "glance",
              "x0", "y0", "x1", "y1", "comparing", "text", "search button", "text", "answer button"]  # fmt: skip
    assert [name for name in reached if name in wanted] == wanted
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    assert edges(page) == [0.3, 0.3, 0.7, 0.7]
    for key in ["ArrowLeft"] * 25 + ["ArrowUp"] * 5 + ["Shift+ArrowLeft"] * 5 + ["Shift+ArrowDown"] * 10:
        page.keyboard.press(key)
    assert edges(page) == pytest.approx([0.05, 0.25, 0.4, 0.75])
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .column:nth-child(2) .hit")
    assert "Gaze" in page.inner_text("#said") and "turns left" in page.inner_text("#said")
    assert page.evaluate("document.activeElement.id") == "stage", "the focus stays where one works"
    page.keyboard.press("Escape")
    assert page.is_hidden("#box")
    page.focus("#glance")
    page.keyboard.press("Enter")
    page.wait_for_selector("#turns li:nth-child(2)")
    page.focus("#answer input")
    page.keyboard.type("Alias2xyz")
    page.keyboard.press("Enter")
    page.wait_for_selector("#outcome:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "outcome" and "Correct" in page.inner_text("#said")


def test_the_ends_of_the_list_begin_nothing_anew(person: Any, tasks: Tasks) -> None:
    page = person()
    page.fill("#search input", "Galt")
    page.press("#search input", "Enter")
    page.wait_for_selector("#turns li")
    page.click("#choose [name=previous]")
    assert "This is the first one." in page.inner_text("#notice") and page.locator("#turns li").count() == 1
    page.fill("#choose [name=number]", str(len(tasks) + 1))
    page.press("#choose [name=number]", "Enter")
    page.wait_for_selector("#past", state="hidden")
    page.click("#choose [name=next]")
    assert "This is the last one." in page.inner_text("#notice")


def test_an_episode_that_was_left_for_another_tab_goes_on(person: Any) -> None:
    page = person("/#task=t1")
    page.fill("#search input", "Galt")
    page.press("#search input", "Enter")
    page.wait_for_selector("#turns li")
    for tab in ("own", "watch"):
        page.click(f"[data-mode={tab}]")
    page.wait_for_selector("#watching:not([hidden])")
    assert page.locator("#turns li").count() == 0
    page.wait_for_selector("body:not([aria-busy])")
    page.click("[data-mode=play]")
    page.wait_for_selector("#turns :text('“Galt”')")
    assert page.input_value("#choose [name=number]") == "2" and page.is_visible("#acting")


def test_a_click_on_a_tab_waits_for_the_answer_to_the_last_one(person: Any) -> None:
    page = person()
    page.route("**/act", lambda route: None, times=1)  # an answer that does not come
    page.click("#glance")
    page.click("[data-mode=watch]")
    assert "One moment" in page.inner_text("#notice") and page.is_visible("#table")
    assert page.get_attribute("[data-mode=play]", "aria-pressed") == "true"


def test_with_a_finger_on_a_phone(person: Any) -> None:
    page = person(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    room = page.locator("#stage").bounding_box()
    line = page.context.new_cdp_session(page)

    def touch(kind: str, *at: float) -> None:
        points = [{"x": room["x"] + at[0] * room["width"], "y": room["y"] + at[1] * room["height"]}] if at else []
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.1, 0.2)
    touch("touchMove", 0.3, 0.5)
    touch("touchMove", 0.45, 0.8)
    touch("touchEnd")
    assert edges(page) == pytest.approx([0.1, 0.2, 0.45, 0.8], abs=0.02)
    page.tap("text=search with the box")
    page.wait_for_selector("#results .column:nth-child(2) .hit")
    assert page.evaluate("getComputedStyle(document.querySelector('#stage')).touchAction") == "pinch-zoom"
    page.fill("#answer input", "x")
    page.press("#answer input", "Enter")
    page.wait_for_selector("#outcome:not([hidden])")
    assert page.evaluate("getComputedStyle(document.querySelector('#stage')).touchAction") == "auto", "it scrolls again"
    for mode in ("watch", "own", "play"):
        page.tap(f"[data-mode={mode}]")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{mode} is wider than the phone"


def test_a_broken_picture_is_told_and_a_good_one_begins(person: Any) -> None:
    page = person()
    page.click("[data-mode=own]")
    page.set_input_files("#bring [name=file]", {"name": "a.png", "mimeType": "image/png", "buffer": b"not a picture"})
    page.fill("#bring [name=question]", "Whose is this?")
    page.press("#bring [name=question]", "Enter")
    page.wait_for_selector("#notice:not([hidden])")
    assert "your picture: cannot be read as a picture (not a picture in a known format)" in page.inner_text("#notice")
    large = {"name": "b.png", "mimeType": "image/png", "buffer": bytes(17 * 2**20)}
    page.set_input_files("#bring [name=file]", large)  # type: ignore[arg-type]
    page.click("#bring button")
    assert "more than 16 MiB" in page.inner_text("#notice")
    good = {"name": "c.png", "mimeType": "image/png", "buffer": png(scene(5))}
    page.set_input_files("#bring [name=file]", good)  # type: ignore[arg-type]
    page.click("#bring button")
    page.wait_for_selector("#table:not([hidden])")
    assert page.inner_text("#question") == "Whose is this?" and page.is_hidden("#notice")
    drag(page, region(0, 1))
    page.click("text=search with the box")
    page.wait_for_selector("#results .hit")
    assert titles(page)[0] == "Fenwick"
    page.fill("#answer input", "Fenwick")
    page.press("#answer input", "Enter")
    page.wait_for_selector("#outcome:not([hidden])")
    assert "no gold answer" in page.inner_text("#outcome") and "reward" not in page.inner_text("#outcome")


def test_two_people_at_once(person: Any) -> None:
    one, two = person("/#task=t1"), person("/#task=t4")
    for page, query in ((one, "Galt"), (two, "Kolm"), (one, "Belmo"), (two, "Ilmen")):
        page.fill("#search input", query)
        page.press("#search input", "Enter")
        page.wait_for_selector(f"#turns :text('“{query}”')")
    for page, answer in ((two, "Gold4xyz"), (one, "Gold4xyz")):
        page.fill("#answer input", answer)
        page.press("#answer input", "Enter")
        page.wait_for_selector("#outcome:not([hidden])")
    assert "Wrong" in one.inner_text("#outcome") and "Gold1xyz" in one.inner_text("#outcome")
    assert "Correct" in two.inner_text("#outcome")
    assert [text.split("\n")[1] for text in one.locator("#turns li").all_inner_texts()[:2]] == [
        "Search “Galt”", "Search “Belmo”"
    ]  # fmt: skip


def test_a_policy_is_watched_step_by_step(person: Any) -> None:
    page = person("/#task=t1")
    page.click("[data-mode=watch]")
    page.wait_for_selector("#watching:not([hidden])")
    page.select_option("#choose [name=who]", "player:scripted")
    page.wait_for_selector("#watch-note:text-is('scripted plays.')")
    page.click("#forth")
    page.wait_for_selector("#results .hit")
    assert page.inner_text("#results .thought") == "look <b>", "what a policy thinks is text"
    page.click("#back")
    assert page.locator("#turns li").count() == 0
    page.click("#run")
    page.wait_for_selector("#outcome:not([hidden])")
    assert "Correct" in page.inner_text("#outcome") and page.locator("#turns li").count() == 2
    page.click("text=Play it yourself")
    page.wait_for_selector("#acting:not([hidden])")
    assert page.locator("#turns li").count() == 0


def test_texts_stay_texts_and_a_reload_goes_on(person: Any) -> None:
    page = person("/#task=hostile")
    assert page.inner_text("#question") == HOSTILE and page.title() == "Glance or Gaze"
    page.fill("#search input", "<b>Galt</b>")
    page.press("#search input", "Enter")
    page.wait_for_selector("#turns :text('“<b>Galt</b>”')")
    page.evaluate("history.replaceState(null, '', '/')")
    page.reload()
    page.wait_for_selector("#turns :text('“<b>Galt</b>”')")
    page.fill("#answer input", "x")
    page.press("#answer input", "Enter")
    page.wait_for_selector("#outcome:not([hidden])")
    assert "<b>Gold</b>" in page.inner_text("#outcome") and page.locator("#outcome b").count() == 0


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_can_be_read(person: Any, mode: str) -> None:
    page = person(color_scheme=mode)
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(246, 245, 241)", "dark": "rgb(22, 24, 28)"}[mode]
    assert page.evaluate(CONTRAST) == []
    drag(page, [0.1, 0.25, 0.4, 0.75])
    page.click("text=search with the box")
    page.wait_for_selector("#results .column:nth-child(2) .hit")
    assert page.evaluate(CONTRAST) == []
    for answer, verdict in (("wrong", "Wrong"), ("Gold0xyz", "Correct")):
        page.fill("#answer input", answer)
        page.press("#answer input", "Enter")
        page.wait_for_selector(f"#outcome :text('{verdict}')")
        assert page.evaluate(CONTRAST) == []
        page.click("text=Try again")
        page.wait_for_selector("#acting:not([hidden])")
    page.click("#glance")
    page.wait_for_selector("#turns li")
    assert page.evaluate(CONTRAST) == []
    page.click("text=search with the box")
    page.wait_for_selector("#notice:not([hidden])")
    assert page.evaluate(CONTRAST) == []
    page.click("[data-mode=own]")
    page.click("#bring button")
    assert page.evaluate(CONTRAST) == []


def test_a_name_that_was_bent_to_this_machine_is_refused(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    answer = page.goto(address.replace("127.0.0.1", "evil.example"))
    assert answer is not None and answer.status == 403 and "names of this machine" in page.inner_text("body")
    page.close()


def test_a_token_is_asked_for_once(chromium: Browser, knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    with serving(application(Stage(knowledge, tasks, players=Players(points=[])), "open-sesame")) as url:
        context = chromium.new_context()
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.goto(url)
        page.fill("#door input", "sesame")
        page.press("#door input", "Enter")
        page.wait_for_selector("#notice:not([hidden]) :text('the token is wrong')")
        page.fill("#door input", "open-sesame")
        page.press("#door input", "Enter")
        page.wait_for_selector("#table:not([hidden])")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.querySelector('#picture').naturalWidth") > 0, "the cookie lets pictures in"
        page.reload()
        page.wait_for_selector("#table:not([hidden])")
        context.close()


def test_a_large_photo_fits(chromium: Browser, knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    tall = replace(tasks[0], image=png(Image.new("RGB", (300, 3000), "teal")))
    with serving(application(Stage(knowledge, Tasks([tall]), players=Players(points=[])))) as url:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector("#table:not([hidden])")
        room = page.locator("#stage").bounding_box()
        assert (
            room is not None and room["height"] <= 900 and room["height"] / room["width"] == pytest.approx(10, rel=0.05)
        )
        page.close()
