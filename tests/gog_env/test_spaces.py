"""Unicode comes back as it was from every vector environment's machinery."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import utils
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gog_env.episode import EpisodeConfig
from gog_env.spaces import Unicode, action_space, observation_space

texts = st.lists(st.text(st.characters(), max_size=40), min_size=1, max_size=5)


@settings(deadline=None)
@given(texts)
def test_shared_memory_gives_back_every_text(values: list[str]) -> None:
    space = Unicode(40)
    memory = create_shared_memory(space, n=len(values))
    live = read_from_shared_memory(space, memory, n=len(values))
    assert copy.deepcopy(live) == ("",) * len(values)
    for index, value in enumerate(values):
        write_to_shared_memory(space, index, value, memory)
    assert copy.deepcopy(live) == tuple(values)  # read before it was written, as AsyncVectorEnv does
    for index in range(len(values)):
        write_to_shared_memory(space, index, "é", memory)  # a shorter text leaves nothing of the longer one
    assert tuple(live) == ("é",) * len(values)
    assert live[0] == "é" and live[:1] == ("é",) and len(live) == len(values)


@settings(deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_flattening_is_undone(text: str) -> None:
    space = Unicode(40)
    flat = utils.flatten(space, text)
    assert flat in utils.flatten_space(space) and flat.shape == (utils.flatdim(space),)
    assert utils.unflatten(space, flat) == text


def test_unicode_checks_length_only() -> None:
    space = Unicode(5, min_length=1)
    assert "é 日🙂" in space and "\0" in space and "\ud800" in space
    assert "" not in space and "sixsix" not in space and b"x" not in space and None not in space
    assert repr(space) == "Unicode(1, 5)"
    assert space == Unicode(5, min_length=1) and space != Unicode(6, min_length=1)
    assert space != gymnasium.spaces.Text(5)
    assert pickle.loads(pickle.dumps(space)) == space and copy.deepcopy(space) == space


def test_samples_are_seeded_members() -> None:
    first, second = Unicode(300, min_length=1, seed=3), Unicode(300, min_length=1, seed=3)
    drawn = [first.sample() for _ in range(50)]
    assert drawn == [second.sample() for _ in range(50)]
    assert all(text in first for text in drawn)
    assert any(ord(letter) > 0xFFFF for text in drawn for letter in text)


def test_batching_is_that_of_text() -> None:
    space = Unicode(5)
    assert isinstance(batch_space(space, 2), gymnasium.spaces.Tuple)
    assert concatenate(space, ["a", "🙂"], create_empty_array(space, 2)) == ("a", "🙂")


def test_too_long_for_the_memory_is_an_error() -> None:
    space = Unicode(2)
    with pytest.raises(ValueError, match="3 characters"):
        write_to_shared_memory(space, 0, "abc", create_shared_memory(space, n=1))


def test_spaces_of_the_environment() -> None:
    assert len(action_space()) == 4
    space = observation_space(EpisodeConfig(max_turns=3, thumbnails=0), picture_size=64)
    assert space["picture"].shape == (64, 64, 3)
    assert space["thumbnails"].shape == (0, 96, 96, 3)
    assert isinstance(space["turns_left"], gymnasium.spaces.Discrete) and space["turns_left"].n == 4
    space.seed(0)
    sample = space.sample()
    assert sample in space and sample["picture"].dtype == np.uint8
