"""Answers are compared as a careful reader would compare them; parts of the reward add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gog_env.rewards import accuracy, normalize_answer, total


@pytest.mark.parametrize(
    ("answer", "alias"),
    [
        ("1,246,700", "1246700"),
        ("1,246,700 km²", "1246700 km2"),
        ("THE  United\tStates", "United States"),
        ("U.S.A.", "USA"),
        ("Guinea Bissau", "Guinea-Bissau"),
        ("Côte d’Ivoire", "Cote\u0301 d'Ivoire".replace("Cote\u0301", "Co\u0302te")),
        (".ke", ".ke"),
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("−5", "-5"),
        ("“Nairobi”", "Nairobi."),
        ("🇪🇸", "🇪🇸"),
        ("A", "a"),
        ("İstanbul", "i̇stanbul"),
    ],
)
def test_same(answer: str, alias: str) -> None:
    assert accuracy(answer, ["something else", alias]) == 1.0


@pytest.mark.parametrize(
    ("answer", "alias"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("1,2", "12"),
        ("12,46,700", "1246700"),
        ("Kenya or Uganda", "Kenya"),
        ("vitamin A", "vitamin"),
        ("Réunion", "Reunion"),
        ("", ""),
        ("...", "!!!"),
        ("C++", "C"),
        ("   ", "the"),
    ],
)
def test_different(answer: str, alias: str) -> None:
    assert accuracy(answer, [alias]) == 0.0


@given(st.text() | st.text(alphabet="aAthe n-.,'5 0١!’ßİ–"))
def test_normalisation_settles_and_a_gold_answer_is_right(text: str) -> None:
    once = normalize_answer(text)
    assert normalize_answer(once) == once
    assert accuracy(text, [text]) == float(bool(once))


def test_total_is_the_formula_of_the_paper() -> None:
    for weight in (0.0, 0.1, 0.5, 1.0):
        assert total(1, 1, 4, weight) == pytest.approx(1.0)
        assert total(1, 0, 4, weight) == pytest.approx(1 - weight)
        assert total(0, 1, 4, weight, call_cost=0.05) == pytest.approx(weight - 0.2)
