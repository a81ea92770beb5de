"""What a report says about policies: the comparison's figures, gaze gain, calls by kind, in the order of a page.

Decisions: every figure comes from `agents.compare`, so that page, table and plots say the same. For the gaze gain whole
pictures are searched where an episode has no glance and the index is there, but at most `WHOLE` pictures, in the order
of their hashes: a fair sample of them, and seconds with the largest encoder. How many gazes were measured is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agents import compare, gaze_gain
from agents.compare_figures import groups_of, several_benchmarks
from agents.compare_runs import Contender, by_task
from agents.measures import CALLS, Record, share
from agents.report.pictures import Pictures, fits
from index.errors import GoGError
from index.images import iou

WHOLE = 256
"""Whole pictures that are searched for the gaze gain."""
_COSTS = (
    ("prompt_tokens", "tokens read"),
    ("completion_tokens", "tokens written"),
    ("pictures", "pictures"),
    ("requests", "requests"),
    ("seconds", "seconds"),
)


def whole_pictures(
    contenders: Sequence[Contender], pictures: Pictures, keep: bool, most: int = WHOLE
) -> dict[str, gaze_gain.Found]:
    """What whole pictures find: what is kept beside the runs, and what the index says about up to `most` more.

    Args:
        contenders: the policies.
        pictures: index and tasks; a failure is noted there, for the page has more to show than this.
        keep: what was found is kept beside the runs.
        most: pictures that are searched.
    """
    found: dict[str, gaze_gain.Found] = {}
    for run in (run for one in contenders for run in one.runs):
        gaze_gain.read_cache(run, found)
    wanted = gaze_gain.missing((record for one in contenders for record in one.records), found)
    index = pictures.index
    if index is None or not wanted or not fits(index, [run for one in contenders for run in one.runs]):
        return found
    drawn = {one["record"]["task_id"] for _, one in sorted(wanted.items())[:most]}
    tasks = [task for name in sorted(drawn) for task in pictures.tasks.get(name, ())]
    try:
        gaze_gain.search(contenders, found, index, tasks)
    except GoGError as error:
        pictures.notes.append(f"gaze gain: {error}")
        return found
    for run in (run for one in contenders for run in one.runs if keep):
        if any(turn["action"]["type"] == "gaze" for record in run.records for turn in record["turns"]):
            gaze_gain.write_cache(run, found)
    return found


def figures(contenders: Sequence[Contender], found: Mapping[str, gaze_gain.Found], seed: int = 0) -> dict[str, Any]:
    """All that the page shows about some policies.

    Returns:
        `about` (a line), `notes` (texts with `unfair`), `policies` (each with `name`, `accuracy`, `difference`,
        `judged`, `reward`, `calls`, `retrieval`, `gaze`, `behaviour`, `costs`, `spent`, `box_iou`), `kinds` (each with
        `name`, `n` tasks at most, `span` (how many, in words) and `rows`: the policies' `name`, `accuracy` and
        `calls`), and `against`.
    """
    compared = compare.compare(contenders, found=dict(found), seed=seed)
    policies = []
    for one, entry in zip(contenders, compared["policies"], strict=True):
        policies.append(
            {
                "name": one.name,
                "accuracy": entry["accuracy"]["overall"],
                "runs": entry["accuracy"]["runs"],
                "difference": entry["difference"] and entry["difference"]["overall"],
                "judged": entry["judged"],
                "reward": _mean(by_task(one.records, _reward)),
                "calls": {name: entry["costs"][name]["mean"] for name in CALLS},
                "all_calls": entry["costs"]["calls"],
                "retrieval": entry["retrieval"],
                "gaze": entry["gaze_gain"],
                "behaviour": entry["behaviour"],
                "costs": [(said, entry["costs"][name]["mean"]) for name, said in _COSTS],
                "spent": _spent(one),
                "box_iou": _box_iou(one),
            }
        )
    return {
        "about": compared["about"],
        "notes": compared["notes"],
        "policies": policies,
        "kinds": _kinds(contenders, compared["policies"]),
        "against": compared["against"],
    }


def kind_of(record: Record) -> str:
    """What a page calls a record's kind."""
    return str(record["kind"] or "other")


def _kinds(contenders: Sequence[Contender], entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = sorted({name for entry in entries for name in entry["accuracy"]["by"]["kind"]})
    several = several_benchmarks(contenders)
    calls = [_calls_by_kind(one, several) for one in contenders]
    kinds = []
    for name in names:
        rows = [
            {
                "name": one.name,
                "accuracy": entry["accuracy"]["by"]["kind"].get(name),
                "calls": by_kind.get(name),
            }
            for one, entry, by_kind in zip(contenders, entries, calls, strict=True)
        ]
        counts = [row["accuracy"]["n"] for row in rows if row["accuracy"]]
        span = f"{min(counts)} to {max(counts)}" if len(set(counts)) > 1 else str(counts[0])
        kinds.append({"name": name, "n": max(counts), "span": span, "rows": [row for row in rows if row["accuracy"]]})
    return kinds


def _calls_by_kind(contender: Contender, several: bool) -> dict[str, dict[str, float]]:
    """Mean number of each call by kind of task; kinds are called as in the table of accuracies."""
    found: dict[str, dict[str, float]] = {}
    for name in CALLS:
        values = by_task(contender.records, partial(_count, name))
        groups: dict[str, list[float]] = {}
        for task, value in values.items():
            groups.setdefault(groups_of(contender.first[task], several)["kind"], []).append(value)
        for kind, some in groups.items():
            found.setdefault(kind, {})[name] = math.fsum(some) / len(some)
    return found


def _count(name: str, record: Record) -> float:
    return sum(turn["action"]["type"] == name for turn in record["turns"])


def calls_of(record: Record) -> int:
    """Glances, gazes and searches of an episode."""
    return sum(turn["action"]["type"] in CALLS for turn in record["turns"])


def _reward(record: Record) -> float | None:
    total = record["reward"].get("total")
    return float(total) if isinstance(total, (int, float)) and not isinstance(total, bool) else None


def _mean(values: Mapping[str, float]) -> float | None:
    return share(values.values())["mean"] if values else None


def _spent(contender: Contender) -> float | None:
    """Money, where the runs know it."""
    costs = [(run.about.get("spent") or {}).get("cost") for run in contender.runs]
    known = [float(one) for one in costs if isinstance(one, (int, float))]
    return math.fsum(known) if len(known) == len(costs) and known else None


def sound(box: Any) -> bool:
    """Whether a box can be drawn, cut out and measured; what was recorded was checked when it was played."""
    return (
        isinstance(box, Sequence)
        and len(box) == 4
        and all(isinstance(edge, (int, float)) and 0 <= edge <= 1 for edge in box)
        and box[0] < box[2]
        and box[1] < box[3]
    )


def _box_iou(contender: Contender) -> float | None:
    """The best IoU of a gaze and the first region, as `agents.measures` defines it; None where nobody gazed."""
    with_regions = [record for record in contender.records if record["regions"] and sound(record["regions"][0])]
    if not any(_gazes(record) for record in with_regions):
        return None
    return _mean(by_task(with_regions, _best_iou))


def _gazes(record: Record) -> list[Sequence[float]]:
    boxes = (turn["action"]["box"] for turn in record["turns"] if turn["action"]["type"] == "gaze")
    return [box for box in boxes if sound(box)]


def _best_iou(record: Record) -> float:
    return max((iou(box, record["regions"][0]) for box in _gazes(record)), default=0.0)
