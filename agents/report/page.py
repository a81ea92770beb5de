"""The page itself: what the other modules worked out, through one template, in one file that needs nothing else.

Decisions: Jinja escapes everything that it is handed, for titles, questions and thoughts are whatever a document or a
model holds. The only script and the only style are ours, named by their hashes in the page's Content-Security-Policy,
which allows nothing else but pictures in the page itself: even markup that got through could not run, load or send.
No times and no paths but the runs' own: the same runs give the same page. A page above `LIMIT` is made again with half
the episodes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.compare_runs import Contender, Run
from agents.report import curves
from agents.report.album import Album
from agents.report.choose import EPISODES, POLICIES, chosen
from agents.report.figures import figures, whole_pictures
from agents.report.gallery import CONTROLS, episodes, plain
from agents.report.pictures import Pictures
from agents.report.runs import Runs, Training
from index.errors import ModelError

NAME = "report.html"
LIMIT = 6 << 20
"""Bytes of a page."""
TRAININGS, KINDS = 8, 24
"""Trainings in one drawing (there are so many colours), and kinds of tasks in one part, those with most tasks."""
MARK = '<meta name="generator" content="glance-or-gaze agents.report">'
_HEAD = 4000
_HERE = Path(__file__).parent


def render(runs: Runs, pictures: Pictures, most: int = EPISODES, keep: bool = False) -> str:
    """The page of some runs.

    Args:
        runs: what `agents.report.runs.read_runs` found.
        pictures: of tasks and hits; gets notes of what is missing.
        most: episodes that are shown.
        keep: what is searched for the gaze gain is kept beside the evaluations.
    """
    trainings = runs.trainings[:TRAININGS]
    parts = [_part("", runs.evaluations, whole_pictures(runs.evaluations, pictures, keep))] if runs.evaluations else []
    for one in (one for one in trainings if one.windows):
        found = whole_pictures(one.windows, pictures, keep=False)
        parts.append(_part(one.name, one.windows, found) | {"notes": []})
    about = {
        "title": title(runs),
        "subtitle": "; ".join([*(part["about"] for part in parts[: bool(runs.evaluations)]), *_trained(trainings)]),
        "trainings": trainings,
        "left_out": [one.name for one in runs.trainings[TRAININGS:]],
        "panels": curves.panels(trainings),
        "kind_panels": [replace(one, title=plain(one.title, 60)) for one in curves.kind_panels(trainings, KINDS)],
        "parts": parts,
        "runs": _made([run for one in runs.evaluations for run in one.runs], trainings),
    }
    contenders = [*runs.evaluations, *(window for one in trainings for window in one.windows)]
    said = list(pictures.notes)
    if unshown := [one.name for one in contenders[POLICIES:]]:
        said.append(f"no episodes are shown of {', '.join(unshown)}: {POLICIES} policies have room")
    while True:
        album = Album()
        shown, notes = episodes(chosen(contenders, most), pictures, album)
        told = list(dict.fromkeys([*runs.problems, *said, *pictures.notes, *notes]))
        html = _fill(about | {"episodes": shown, "symbols": album.symbols, "told": told} | _choices(shown))
        if len(html.encode("utf-8")) <= LIMIT or not shown:
            return html
        most //= 2


def title(runs: Runs) -> str:
    """What the page is about, in a few words."""
    trained, played = [one.name for one in runs.trainings], [one.name for one in runs.evaluations]
    said = []
    if trained:
        said.append(f"Training of {trained[0]}" if len(trained) == 1 else f"{len(trained)} trainings")
    if played:
        said.append(f"Evaluation of {played[0]}" if len(played) == 1 else f"{len(played)} policies compared")
    return plain("; ".join(said), 120)


def _trained(trainings: Sequence[Training]) -> list[str]:
    """How far each training went, and on what."""
    said = []
    for one in trainings:
        tasks, index = one.about.get("tasks"), one.about.get("index")
        steps = int(one.rows[-1]["step"]) if one.rows else 0
        words = f"{one.name}: " * (len(trainings) > 1) + _count(steps, "step")
        words += f", {_count(tasks, 'task')}" if isinstance(tasks, int) else ""
        said.append(words + (f", index {index[:12]}" if isinstance(index, str) else ""))
    return said


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _part(name: str, contenders: Sequence[Contender], found: Any) -> dict[str, Any]:
    part = figures(contenders, found)
    kinds = sorted(part["kinds"], key=lambda kind: -kind["n"])
    kinds = [kind | {"name": plain(kind["name"], 60)} for kind in kinds]
    return part | {
        "name": name,
        "kinds": sorted(kinds[:KINDS], key=lambda kind: kind["name"]),
        "more_kinds": len(kinds[KINDS:]),
        "most_calls": max((one["all_calls"]["mean"] for one in part["policies"]), default=0.0),
        "most_by_kind": max(
            (sum(row["calls"].values()) for kind in kinds for row in kind["rows"] if row["calls"]), default=0.0
        ),
        "compared": any((one["difference"] or {}).get("mean") is not None for one in part["policies"]),
        "gazes": any(one["gaze"]["gazes"] for one in part["policies"]),
        "costs": [
            said for said, _ in part["policies"][0]["costs"] if any(dict(p["costs"])[said] for p in part["policies"])
        ],
    }


def _made(runs: Sequence[Run], trainings: Sequence[Training], most: int = 24) -> list[dict[str, Any]]:
    """How the runs were started."""
    facts = [(run.path.name, run.about) for run in runs] + [(one.name, one.about) for one in trainings]
    listed = [
        (plain(name, 80), plain(about.get("command"), 1000), about) for name, about in facts if about.get("command")
    ]
    made = []
    for command in list(dict.fromkeys(command for _, command, _ in listed))[:most]:
        about = next(about for _, said, about in listed if said == command)
        versions = about.get("versions")
        made.append(
            {
                "names": ", ".join(name for name, said, _ in listed if said == command),
                "command": command,
                "versions": plain(", ".join(f"{k} {v}" for k, v in versions.items()), 600)
                if isinstance(versions, dict)
                else "",
            }
        )
    return made


def _choices(shown: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """What the gallery can be filtered by: values and their words, only where there is something to choose."""
    policies = list(dict.fromkeys(one["policy"] for one in shown))
    for one in shown:
        one["policy_key"] = f"p{policies.index(one['policy'])}"
        one["calls_key"] = "5+" if one["calls"] >= 5 else str(one["calls"])
    outcomes = {one["outcome"] for one in shown}
    calls = sorted({one["calls_key"] for one in shown})
    found = {
        "policy": [(f"p{number}", name) for number, name in enumerate(policies)],
        "kind": [(name, name) for name in sorted({one["kind"] for one in shown})],
        "outcome": [(name, name) for name in ("right", "partly", "wrong") if name in outcomes],
        "calls": [(name, f"{name} call{'s' * (name != '1')}") for name in calls],
    }
    return {"choices": {name: listed for name, listed in found.items() if len(listed) > 1}}


def _fill(values: dict[str, Any]) -> str:
    from markupsafe import Markup

    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "filters.js"))
    policy = (
        "default-src 'none'; img-src data:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    ours = {"style": Markup(style), "script": Markup(script), "policy": policy, "mark": Markup(MARK)}  # our own files
    return _template().render(**values, **ours) + "\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@functools.cache
def _template() -> Any:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_writable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": curves.short, "percent": _percent, "signed": _signed, "at": _at}
    return made.get_template("page.jinja")


def _writable(value: Any) -> Any:
    """What a template is handed, without characters that no page may hold; markup is the template's own."""
    return CONTROLS.sub("\ufffd", value) if type(value) is str else value


def _percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def _signed(value: float | None, digits: int = 2) -> str:
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def _at(value: float) -> str:
    """A share as a place on an axis that leaves room for round ends: 1 to 99 %."""
    return f"{1 + 98 * min(1.0, max(0.0, value)):.2f}%"


def write(path: str | Path, html: str) -> Path:
    """Writes a page, whole or not at all; an earlier page is replaced, anything else stays.

    Raises:
        ModelError: something else is there, or the disk refuses.
    """
    path = Path(path)
    if path.exists() and not _is_ours(path):
        raise ModelError(f"{path} is no report of this project and stays as it is; name another --out")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(html, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}; name another --out") from None
    finally:
        beside.unlink(missing_ok=True)
    return path


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(_HEAD)
    except OSError:  # a folder, or nothing that may be read
        return False
