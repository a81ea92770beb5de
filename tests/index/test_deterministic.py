"""Sums come out the same to the bit whatever order threads come in, and settings are put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch

from index.deterministic import deterministic

ROWS, LENGTH = 96, 150


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def gradients(taken: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], times: int) -> list[torch.Tensor]:
    """The gradient of rows that are taken several times each, computed so often."""
    draw = torch.Generator().manual_seed(0)
    keys = torch.randn(12, 4, LENGTH, 32, generator=draw)
    owners = torch.arange(12).repeat_interleave(8)[torch.randperm(ROWS, generator=draw)]
    above = torch.randn(ROWS, 4, LENGTH, 32, generator=draw)
    found = []
    for _ in range(times):
        leaf = keys.clone().requires_grad_()
        taken(leaf, owners).backward(above)
        assert leaf.grad is not None
        found.append(leaf.grad)
    return found


def test_rows_that_repeat_have_the_same_gradient_every_time(two_threads: None) -> None:
    with deterministic():
        first, *others = gradients(lambda keys, owners: keys[owners], 20)
    assert all(torch.equal(first, other) for other in others)


def test_prompts_that_rollouts_share_need_no_setting(two_threads: None) -> None:
    """The forward pass of GRPO itself: repeatable also where somebody trains by a loop of their own."""
    from agents.grpo_forward import _expanded

    def taken(keys: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        layers = [SimpleNamespace(keys=keys, values=keys.detach())]
        return _expanded(SimpleNamespace(layers=layers), owners).layers[0].keys

    first, *others = gradients(taken, 20)
    assert all(torch.equal(first, other) for other in others)


def test_settings_are_put_back() -> None:
    def settings() -> tuple[bool, bool, bool]:
        filled: bool = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        enabled, warned = (
            torch.are_deterministic_algorithms_enabled,
            torch.is_deterministic_algorithms_warn_only_enabled,
        )
        return enabled(), warned(), filled

    before = settings()
    with pytest.raises(KeyError), deterministic(strict=True):
        assert settings() == (True, False, False)
        with deterministic():
            assert settings() == (True, not torch.cuda.is_available(), False)
        assert settings() == (True, False, False)
        raise KeyError
    assert settings() == before
