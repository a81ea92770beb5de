"""Nations: computed number by number, related without contradiction, told in full, changed by snapshots alone."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import fields, replace

import numpy as np
import pytest

from gog_env.world import names as phonology
from gog_env.world.articles import wordings
from gog_env.world.facts import CHANGED, FACTS, shown
from gog_env.world.heraldry import family
from gog_env.world.keyed import Permutation
from gog_env.world.nations import World, WorldSpec, article, make_world
from gog_env.world.notes import count_notes, note
from gog_env.world.relations import RELATIONS, draw_region
from index.errors import TaskError

SPEC = WorldSpec(seed=5, nations=400)
SPLITS = ("train", "heldout")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def nations(world):
    return [world.nation(number) for number in range(len(world))]


@pytest.mark.parametrize("size", [1, 2, 3, 12, 97, 1000])
def test_permutations_go_both_ways(size):
    there = Permutation(size, "x", 7)
    assert sorted(there(i) for i in range(size)) == list(range(size))
    assert all(there.inverse(there(i)) == i for i in range(size))
    with pytest.raises(IndexError):
        there(size)


def test_permutations_of_two_keys_have_little_in_common():
    one, two = Permutation(1000, 1), Permutation(1000, 2)
    assert sum(one(i) == two(i) for i in range(1000)) < 12
    assert abs(np.corrcoef([one(i) for i in range(1000)], range(1000))[0, 1]) < 0.15


def test_a_nation_depends_on_spec_and_number_alone(world, nations):
    again = make_world(SPEC)
    order = np.random.default_rng(0).permutation(400)[:60]
    assert all(again.nation(int(i)) == nations[int(i)] for i in order)
    assert make_world(replace(SPEC, seed=6)).nation(17).name != nations[17].name
    with pytest.raises(IndexError):
        world.nation(400)


def test_ids_are_opaque_and_lead_back(world, nations):
    assert len({nation.id for nation in nations}) == 400
    assert sorted(nation.id for nation in nations) == [
        world.slots.id(world.slots.in_order_of_id(i)) for i in range(400)
    ]
    assert all(world.by_id(nation.id) is not None and world.number(nation.id) == nation.number for nation in nations)
    family = sorted(int(nation.id[-6:]) for nation in nations if nation.family == 3)
    assert len(family) == 5 and min(np.diff(family)) > 0 and family[-1] - family[0] > 20
    for wrong in ("W5-000400", "W5-12", "W6-000001", "W5-note-000001", "", "W5-00000²"):
        with pytest.raises(KeyError):
            world.by_id(wrong)


def test_splits_are_disjoint_and_hold_whole_blocks(world, nations):
    train, held = (list(world.split(split)) for split in SPLITS)
    assert sorted(train + held) == list(range(400)) and len(held) == 96
    assert all(nation.heldout == (nation.number in held) for nation in nations)
    assert len({nations[number].heldout for number in range(24, 36)}) == 1
    members = world.split("heldout")
    assert members[3:6] == [members[3], members[4], members[5]] and members[-1] == held[-1]
    assert held[5] in members and train[5] not in members and "x" not in members
    with pytest.raises(IndexError):
        members[96]
    with pytest.raises(TaskError, match="no split"):
        world.split("test")


def test_five_of_a_block_are_siblings(world, nations):
    families = {}
    for nation in nations:
        families.setdefault(nation.family, []).append(nation.number)
    alone = families.pop(None)
    assert len(families) == 33 and all(len(members) == 5 for members in families.values()) and len(alone) == 235
    nation = nations[families[4][2]]
    assert world.siblings(nation) == tuple(number for number in families[4] if number != nation.number)
    assert world.siblings(nations[alone[0]]) == ()
    assert len({nations[number].banner for number in families[4]}) == 5


def test_strangers_are_nobody_the_knowledge_holds(world, nations):
    known_names, known_banners = {n.name for n in nations}, {n.banner for n in nations}
    strangers = [world.stranger(split, k) for split in SPLITS for k in range(40)]
    assert len({s.id for s in strangers}) == len({s.name for s in strangers}) == 80
    assert not known_names & {s.name for s in strangers} and not known_banners & {s.banner for s in strangers}
    for i, stranger in enumerate(strangers):
        assert stranger.told == frozenset() and not any(vars(stranger.relations).values())
        assert stranger.heldout == (i >= 40) and stranger.facts.capital
        siblings = world.siblings(stranger)
        assert len(siblings) == 5 * (i % 2) and all(nations[k].heldout == stranger.heldout for k in siblings)
        with pytest.raises(KeyError):
            world.by_id(stranger.id)
    assert world.stranger("train", 7) == strangers[7]
    assert {world.stranger("train", 2 * k + 1).banner for k in range(3)} == {
        family(np.random.default_rng([26, SPEC.seed, world.slots.block(False, k)]), 6).banners[5] for k in range(3)
    }
    with pytest.raises(TaskError, match="count from 0"):
        world.stranger("train", -1)


@pytest.mark.parametrize("nations", [48, 1_000_000])
@pytest.mark.parametrize("k", [399_999, 3_000_000, 3_999_999, 4_000_000, 10**7 + 1, 10**12, 2**70])
def test_strangers_never_run_out(nations, k):
    world = make_world(WorldSpec(nations=nations))
    for split in SPLITS:
        stranger = world.stranger(split, k)
        assert stranger.name and stranger.facts.ruler != stranger.facts.founder and stranger == world.stranger(split, k)
        first = world.stranger(split, 0)
        assert stranger.id != first.id and stranger.banner != first.banner


@pytest.mark.parametrize("size", [2, 5])
def test_a_family_begins_with_a_smaller_one(size):
    for seed in range(12):
        small, large = (family(np.random.default_rng([75, seed]), n).banners for n in (size, 6))
        assert large[:size] == small


def test_strangers_have_facts_of_their_own(world):
    facts = [world._facts.facts(-1 - code) for code in (*range(300), *range(799_900, 800_000))]
    for name in ("capital", "currency", "river", "founder", "ruler"):
        assert len({getattr(each, name) for each in facts}) == len(facts)


@pytest.mark.parametrize("nations, heldout", [(24, 0.25), (24, 0.5), (31, 0.25), (400, 0.25), (1001, 0.1)])
def test_relations_agree_within_their_split(nations, heldout):
    world = make_world(WorldSpec(seed=1, nations=nations, heldout=heldout))
    for nation in (world.nation(number) for number in range(nations)):
        links = {name: other for name, other in vars(nation.relations).items() if other}
        assert len({nation.id, *links.values()}) == len(links) + 1
        others = {name: world.by_id(other) for name, other in links.items()}
        assert all(other.heldout == nation.heldout for other in others.values())
        assert others["west"].relations.east == others["east"].relations.west == nation.id
        for mutual in ("ally", "rival", "partner"):
            assert mutual not in others or getattr(others[mutual].relations, mutual) == nation.id
        assert "former_ruler" in others


@pytest.mark.parametrize("size", [12, 13, 24, 47])
def test_regions_leave_out_one_at_most(size):
    for seed in range(20):
        table = draw_region(size, np.random.default_rng(seed))
        assert (table[RELATIONS.index("former_ruler")] >= 0).all()
        for mutual in ("ally", "rival", "partner"):
            assert (table[RELATIONS.index(mutual)] < 0).sum() == size % 2


def test_names_are_all_different(nations):
    def words(of):
        return [phonology.plain(of(nation)).casefold() for nation in nations]

    ways = (
        lambda n: n.name,
        lambda n: n.facts.capital,
        lambda n: n.facts.founder,
        lambda n: n.facts.ruler,
        lambda n: n.facts.river,
        lambda n: n.facts.currency,
    )
    every = [word for of in ways for word in words(of)]
    assert len(set(every)) == len(every)
    assert 0.05 < np.mean([not nation.name.isascii() for nation in nations]) < 0.16
    assert all(nation.facts.currency.islower() and nation.name[0].isupper() for nation in nations)


@pytest.mark.parametrize("kind", phonology.KINDS)
def test_no_two_numbers_give_one_name(kind):
    names = phonology.Names(kind, 3)
    numbers = [*range(4000), *range(names.short - 2000, names.short + 4000), *range(len(names) - 2000, len(names))]
    assert len({phonology.plain(names(number)).casefold() for number in numbers}) == len(numbers)
    assert len(names) > 3_000_000
    with pytest.raises(IndexError):
        names(len(names))


def test_endings_of_one_kind_are_never_a_syllable_and_anothers_ending():
    """With this a word is spelt in one way only, whatever its kind. Given names stand beside a surname only."""
    kinds = [kind for kind in phonology.KINDS if kind != "given"]
    tails = [tail for kind in kinds for tail in phonology.TAILS[kind]]
    assert len(set(tails)) == len(tails)
    heads = [m + v for m in phonology._MIDDLES for v in phonology._VOWELS]
    assert not {head + tail for head in heads for tail in tails} & set(tails)


REAL = """
dinar dolar real rial tolar verdun eton tripolis kurdistan pakistan genova padova hamburg boston milton warwick preston
putin stalin lenin donald ronald armani estonia moravia silesia korea india poland bolivia paraguay stalingrad leningrad
nazareth roskilde arundel calais kosovo gironde aberdeen edmund edith judith galileo grasmere babatunde rosamund
""".split()


def spelling(kind):
    heads, vowels, middles = ("|".join(part) for part in (phonology._ONSETS, phonology._VOWELS, phonology._MIDDLES))
    return re.compile(f"(?:{heads})(?:{vowels})(?:(?:{middles})(?:{vowels}))?(?:{'|'.join(phonology.TAILS[kind])})")


@pytest.mark.parametrize("kind", phonology.KINDS)
def test_no_real_name_is_given(kind):
    cities = {part.lower() for zone in zoneinfo.available_timezones() for part in re.split("[/_]", zone)}
    pattern = spelling(kind)
    spelt = {word for word in {*REAL, *cities} if pattern.fullmatch(word)}
    assert spelt <= phonology._REAL


def test_a_refused_word_gets_an_x():
    names = phonology.Names("capital", 0)
    made = {names._spelt(number, middle=False) for number in range(names.short)}
    assert len(made) == names.short and not made & phonology._REAL
    assert {word for word in made if "x" in word} == {
        word + end for word in phonology._REAL for end in ("x", "ax") if word + end in made
    }
    assert "dormundax" in made


def test_numbers_spread_and_rarely_tie(nations):
    for name, low, high in (("population", 1e5, 1e8), ("area", 1e3, 1e6)):
        values = [getattr(nation.facts, name) for nation in nations]
        assert low <= min(values) < 5 * low and high / 5 < max(values) <= high
        assert len(set(values)) > 0.97 * len(values)
    assert all(700 <= nation.facts.founded < 1990 for nation in nations)


def test_articles_hold_what_is_told_and_nothing_else(world, nations):
    for nation in nations:
        text = article(nation, world)
        full = len(nation.told) > 12
        assert (250 if full else 120) <= len(text) <= 530
        assert text.count(nation.name) >= 4 and "{" not in text and "  " not in text
        for name in FACTS:
            if name in ("capital", "founder", "river", "ruler", "population", "area"):
                assert (shown(nation.facts, name) in text) == (name in nation.told), (name, text)
        for name in RELATIONS:
            if other := getattr(nation.relations, name):
                assert (world.name_of(other) in text) == (name in nation.told), (name, text)
    stubs = [nation for nation in nations if len(nation.told) <= 12]
    assert 0.18 < len(stubs) / len(nations) < 0.32
    for nation in nations:
        assert "capital" in nation.told and len(nation.told & set(RELATIONS)) >= 2
        assert all(getattr(nation.relations, name) for name in nation.told & set(RELATIONS))


def test_every_part_of_an_article_has_three_wordings():
    everything = frozenset(FACTS + RELATIONS)
    ways = [wordings(everything), *(wordings(frozenset([name])) for name in everything - {"river"})]
    for groups in ways:
        assert groups and all(len(set(group)) >= 3 for group in groups)
        assert all("{n}" in sentence for group in groups for sentence in group)


def test_articles_vary_in_order_and_wording(world, nations):
    firsts = [article(nation, world).replace(nation.name, "N").split()[:3] for nation in nations[:100]]
    assert len({" ".join(words) for words in firsts}) > 40


def test_snapshots_change_capitals_and_rulers_alone(world, nations):
    later = [world.at(snapshot) for snapshot in (1, 2, 3)]
    before = nations
    for number, each in enumerate(later, 1):
        after = [each.nation(i) for i in range(400)]
        for name in ("capital", "ruler"):
            changed = [getattr(a.facts, name) != getattr(b.facts, name) for a, b in zip(after, before, strict=True)]
            assert abs(np.mean(changed) - CHANGED) < 0.08, (number, name)
        for a, b in zip(after, nations, strict=True):
            assert replace(a, facts=replace(a.facts, capital=b.facts.capital, ruler=b.facts.ruler)) == b
        before = after
    three = [later[-1].nation(i).facts for i in range(400)]
    assert len({facts.capital for facts in three} | {n.facts.capital for n in nations}) > 400
    both = np.mean([f.capital != n.facts.capital for f, n in zip(three, nations, strict=True)])
    assert abs(both - (1 - (1 - CHANGED) ** 3)) < 0.08
    assert world.at(0) is world and later[0].at(0).spec == world.spec


def test_notes_mention_nations_of_one_split_and_tell_nothing(world, nations):
    assert count_notes(world) == 50
    by_name = {nation.name: nation for nation in nations}
    notes = [note(world, k) for k in range(50)]
    assert len({n.id for n in notes}) == len({n.title for n in notes}) == 50
    for written in notes:
        words = written.text.replace(",", " ").replace(".", " ").split()
        mentioned = [by_name[word] for word in words if word in by_name]
        assert 2 <= len(mentioned) <= 3 and len({nation.heldout for nation in mentioned}) == 1
        assert not any(word in by_name for word in written.title.split())
        asked = ("capital", "founded", "ruler", "ally", "rival", "partner", "borders", "currency", "animal", "people")
        assert not any(word in words for word in asked)
        for nation in mentioned:
            assert not any(str(getattr(nation.facts, field.name)) in words for field in fields(nation.facts))
    assert note(world.at(2), 7) == notes[7]
    with pytest.raises(IndexError):
        note(world, 50)


def test_a_million_nations_cost_nothing_until_asked_for():
    world = make_world(WorldSpec(nations=1_000_000))
    nation = world.nation(999_999)
    assert world.by_id(nation.id) == nation and len(world.split("heldout")) == 12 * round(250_000 / 12)
    assert len(article(nation, world)) > 120


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"nations": 12}, "too few"),
        ({"nations": 0, "heldout": 0}, "too few"),
        ({"nations": 24, "heldout": 0.9}, "too few"),
        ({"nations": -4}, "negative"),
        ({"nations": 2_000_000}, "too many"),
        ({"heldout": 1.0}, "no share"),
        ({"seed": -1}, "negative"),
        ({"snapshot": -1}, "no snapshot"),
        ({"snapshot": 30_000}, "no snapshot"),
        ({"pictures": 0}, "too few"),
    ],
)
def test_specs_that_cannot_be(wrong, complaint):
    with pytest.raises(TaskError, match=complaint):
        make_world(WorldSpec(**wrong))


def test_nothing_needs_to_be_held_out():
    world = make_world(WorldSpec(nations=12, heldout=0))
    assert len(world.split("train")) == 12 and not world.split("heldout")
