"""Whatever a policy emits becomes an action, well-formed or `Malformed` with a reason; nothing raises."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gog_env.actions import (
    MAX_TEXT,
    Action,
    Answer,
    Gaze,
    Glance,
    Malformed,
    Search,
    as_dict,
    from_dict,
    from_space,
    to_space,
    validate,
)
from gog_env.spaces import action_space

edges = st.floats(0, 1, width=32)
boxes = st.tuples(edges, edges, edges, edges).filter(lambda box: box[0] < box[2] and box[1] < box[3])
words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=MAX_TEXT
).filter(lambda text: text.strip() != "")
actions = st.one_of(
    st.just(Glance()), boxes.map(Gaze), words.map(Search).map(validate), words.map(Answer).map(validate)
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(actions)
def test_actions_survive_the_space_and_json(action: Action) -> None:
    assert validate(action) == action
    sample = to_space(action)
    assert sample in action_space()
    assert from_space(sample) == action
    assert from_dict(json.loads(json.dumps(as_dict(action)))) == action


@given(anything)
def test_nothing_raises_and_every_reason_is_one_line_of_utf8(value: object) -> None:
    for action in (
        validate(value),
        from_space(value),
        from_dict(value),
        *(from_space((index, value)) for index in range(-1, 5)),
        *(
            from_dict({"type": name, key: value})
            for name in ("gaze", "search", "answer", "x")
            for key in ("box", "text")
        ),
        validate(Gaze(value)),  # type: ignore[arg-type]
        validate(Search(value)),  # type: ignore[arg-type]
        validate(Answer(value)),  # type: ignore[arg-type]
        validate(Malformed(value)),  # type: ignore[arg-type]
    ):
        assert isinstance(action, Action)
        if isinstance(action, Malformed):
            assert len(action.reason) <= 200 and len(action.reason.splitlines()) <= 1
        json.dumps(as_dict(action), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0.5, 0.2, 0.4, 0.6), "empty"),
        ((0.1, 0.2, 0.1, 0.6), "empty"),
        ((math.nan, 0.2, 0.4, 0.6), "finite"),
        ((0.1, 0.2, math.inf, 0.6), "finite"),
        ((10, 20, 300, 400), "0..1"),
        ((0.1, 0.2, 0.4), "four"),
        ("0.1,0.2,0.4,0.6", "four"),
        (None, "four"),
        ((0.1, "x", 0.4, 0.6), "numbers"),
        (np.array([[0.1, 0.2, 0.4, 0.6]]), "four"),
    ],
)
def test_bad_boxes_are_told_what_is_wrong(box: object, reason: str) -> None:
    action = from_space((1, box))
    assert isinstance(action, Malformed)
    assert reason in action.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("x" * (MAX_TEXT + 1), str(MAX_TEXT)),
        ("a\0b", "NUL"),
        ("a\ud800b", "surrogate"),
        (7, "int"),
        (None, "NoneType"),
        (b"bytes", "bytes"),
    ],
)
@pytest.mark.parametrize("index", [2, 3])
def test_bad_texts_are_told_what_is_wrong(index: int, text: object, reason: str) -> None:
    action = from_space((index, text))
    assert isinstance(action, Malformed)
    assert reason in action.reason


def test_wrong_indices_are_malformed() -> None:
    for index in (-1, 4, 10**30, 1.0, "1", None, True, np.bool_(True), np.array([1, 2])):
        assert isinstance(from_space((index, "x")), Malformed), index
    assert from_space((np.array(2), "x")) == Search("x")


def test_samples_of_the_space_are_read() -> None:
    space = action_space()
    space.seed(0)
    kinds = {type(from_space(space.sample())) for _ in range(200)}
    assert kinds == {Glance, Gaze, Search, Answer, Malformed}  # a random box is often inverted


def test_malformed_is_no_element_of_the_space() -> None:
    with pytest.raises(ValueError, match="no element"):
        to_space(Malformed("x"))
