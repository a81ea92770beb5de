"""Episodes as the page's template wants them: cut to lengths, pictures by reference, nothing but plain values.

Decisions: texts are cut here, once, so that no policy and no document can make a page heavy; characters that no page
may hold (controls, halves of surrogates) become the replacement character. Escaping is the template's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.compare_runs import Contender
from agents.measures import CALLS, Record, declines
from agents.report.album import CROP, HIT, SCENE, Album, Kept
from agents.report.figures import calls_of, kind_of, sound
from agents.report.pictures import Pictures
from index.images import crop

TURNS, HITS = 12, 5
"""Turns of an episode and hits of a turn that are shown; of more the first ones, and how many there are."""
QUESTION, THOUGHT, TITLE, RESULT, ANSWER = 600, 600, 120, 900, 300
"""Characters of a text that are shown."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_WORDS = {"answered": "answered", "truncated": "ran out of turns", "unfinished": "not finished"}


def plain(text: Any, most: int) -> str:
    """A text as a page can hold it, cut to a length.

    >>> plain("a\\x00b\\ud83d", 9), plain("abcdef", 4)
    ('a\\ufffdb\\ufffd', 'abc…')
    """
    cleaned = CONTROLS.sub("\ufffd", str(text or "")[: most + 1])
    return cleaned if len(cleaned) <= most else cleaned[: most - 1].rstrip() + "…"


def episodes(
    chosen: Sequence[tuple[Contender, Record]], pictures: Pictures, album: Album
) -> tuple[list[dict[str, Any]], list[str]]:
    """The chosen episodes for the template, and what has to be said about them."""
    made: list[dict[str, Any]] = []
    scenes: dict[str, Any] = {}
    lacking = without = hits = 0
    for contender, record in chosen:
        name = str(record.get("picture") or "")
        if name not in scenes:
            scenes = {name: pictures.of(record)}  # those of one task follow one another: one is held at a time
        one = episode(contender.name, record, scenes[name], pictures, album)
        lacking += one["scene"] is None
        shown = [hit for turn in one["turns"] for hit in turn["hits"]]
        hits += len(shown)
        without += sum(hit["thumb"] is None for hit in shown)
        made.append(one)
    notes = []
    if lacking:
        notes.append(
            f"{lacking} of {len(made)} episodes are shown without their picture: it was not found, or found changed, "
            "or there was no more room; --tasks PATH (or --benchmark, --data; --index embedded) names the tasks"
        )
    if without:
        notes.append(
            f"{without} of {hits} hits are shown without a thumbnail: the index was not found, or the document has no "
            "picture, or there was no more room; --index PATH names it"
        )
    return made, notes


def episode(policy: str, record: Record, scene: Any, pictures: Pictures, album: Album) -> dict[str, Any]:
    """One episode. `scene` is its picture (PIL), None where it is not there."""
    reward = record["reward"]
    accuracy = float(reward["accuracy"])
    kept = _view(album.add(f"scene {record.get('picture')}", scene, SCENE))
    evidence = set(record["evidence"] or ())
    turns = [
        _turn(number, turn, record, scene, evidence, pictures, album)
        for number, turn in enumerate(record["turns"][:TURNS], start=1)
    ]
    return {
        "policy": plain(policy, TITLE),
        "task": plain(record["task_id"], TITLE),
        "kind": plain(kind_of(record), 60),
        "outcome": "right" if accuracy >= 1 else "wrong" if accuracy <= 0 else "partly",
        "calls": calls_of(record),
        "step": record["step"] + 1 if isinstance(record.get("step"), int) else None,  # as the log counts
        "question": plain(record.get("question"), QUESTION),
        "choices": [plain(choice, TITLE) for choice in (record.get("choices") or ())[:12]],
        "scene": kept,
        "marks": _marks(turns, kept),
        "regions": [_placed(box, kept) for box in record["regions"][:12] if sound(box)] if kept else [],
        "turns": turns,
        "more_turns": max(0, len(record["turns"]) - TURNS),
        "answer": None if record.get("answer") is None else plain(record["answer"], ANSWER),
        "ended": _WORDS.get(record["outcome"], plain(record["outcome"], 40)),
        "declined": declines(record.get("answer")),
        "gold": [plain(text, ANSWER) for text in record.get("answers", ())[:4]],
        "parts": [
            (name, value)
            for name in ("accuracy", "format", "calls", "cost", "total")
            if isinstance(value := reward.get(name), (int, float)) and not isinstance(value, bool)
        ],
    }


def _turn(
    number: int,
    turn: Mapping[str, Any],
    record: Record,
    scene: Any,
    evidence: set[str],
    pictures: Pictures,
    album: Album,
) -> dict[str, Any]:
    action = turn["action"]
    kind, box = action["type"], action.get("box")
    cut = None
    if kind == "gaze" and scene is not None and sound(box):
        cut = album.add(f"crop {record.get('picture')} {box}", crop(scene, box), CROP)
    hits = [
        {
            "rank": rank,
            "title": plain(hit.get("title") or hit["document_id"], TITLE),
            "score": hit["score"] if isinstance(hit.get("score"), (int, float)) else None,
            "evidence": hit["document_id"] in evidence,
            "thumb": _thumb(hit.get("picture_id"), pictures, album),
        }
        for rank, hit in enumerate(turn["hits"][:HITS], start=1)
    ]
    return {
        "number": number,
        "type": plain(kind, 20),
        "detail": plain(_detail(action), RESULT),
        "thought": plain(action.get("thought"), THOUGHT),
        "box": box if kind == "gaze" and sound(box) else None,
        "crop": cut,
        "searched": kind in CALLS,
        "hits": hits,
        "more_hits": max(0, len(turn["hits"]) - HITS),
        "text": plain(turn.get("text"), RESULT),
        "error": plain(turn.get("error"), RESULT),
    }


def _detail(action: Mapping[str, Any]) -> str:
    if action["type"] == "gaze":
        return ", ".join(f"{edge:.2f}" for edge in action["box"])
    return str(action.get({"search": "query", "answer": "text", "malformed": "reason"}.get(action["type"], "")) or "")


def _thumb(picture_id: Any, pictures: Pictures, album: Album) -> Any:
    if not isinstance(picture_id, str):
        return None
    name = f"hit {picture_id}"
    return album.kept[name] if name in album.kept else album.add(name, pictures.hit(picture_id), HIT)


def _placed(box: Sequence[float], kept: Any) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return {
        "x": round(x0 * kept.width, 1),
        "y": round(y0 * kept.height, 1),
        "w": round((x1 - x0) * kept.width, 1),
        "h": round((y1 - y0) * kept.height, 1),
    }


_TAG = 22.0
"""Side of a number's field on the picture, in its pixels."""
_LEAST = 320
"""Longest side at which a picture is shown at least, so that numbers do not hide a small one."""


def _view(kept: Kept | None) -> Kept | None:
    """A picture in the size at which it is shown and drawn on."""
    if kept is None or max(kept.width, kept.height) >= _LEAST:
        return kept
    larger = _LEAST / max(kept.width, kept.height)
    return replace(kept, width=max(1, round(larger * kept.width)), height=max(1, round(larger * kept.height)))


def _marks(turns: Sequence[Mapping[str, Any]], kept: Any) -> list[dict[str, Any]]:
    """Frames and numbers on the picture: a gaze's box, a glance's edge; numbers overlap only where it is full."""
    if kept is None:
        return []
    marks: list[dict[str, Any]] = []
    for turn in turns:
        whole = turn["type"] == "glance"
        if turn["box"] is None and not whole:
            continue
        inset = 2.0 + min(4.0 * sum(mark["whole"] for mark in marks), max(0, min(kept.width, kept.height) / 2 - 4))
        place = _placed(turn["box"] or (0, 0, 1, 1), kept)
        if whole:
            sides = {"w": max(0.0, kept.width - 2 * inset), "h": max(0.0, kept.height - 2 * inset)}
            place = {"x": inset, "y": inset, **sides}
        x = min(max(0.0, place["x"] + (4 if whole else 0)), max(0.0, kept.width - _TAG))
        above = place["y"] - _TAG
        y = min(above if above >= 0 and not whole else place["y"] + (4 if whole else 0), max(0.0, kept.height - _TAG))
        while any(abs(x - m["tag_x"]) < _TAG and abs(y - m["tag_y"]) < _TAG for m in marks):
            if x + 2 * _TAG <= kept.width:
                x += _TAG
            elif y + 2 * _TAG <= kept.height:
                x, y = 0.0, y + _TAG
            else:
                break
        marks.append({**place, "whole": whole, "number": turn["number"], "tag_x": round(x, 1), "tag_y": round(y, 1)})
    return marks
