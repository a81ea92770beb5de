"""The console command `gog`: every command of the project behind one name, as `gog train-rl --steps 20`.

    gog                          # what there is
    gog evaluate --help          # the same as python -m agents.evaluate --help
    glance-or-gaze demo          # the same command by the package's name, as `uvx` and `pipx run` look for it

Decisions: one command with subcommands, as `trl` and `accelerate` have, and not a dozen `gog-…` beside each other: one
name to remember, one list of what there is, one name that can clash with somebody else's. A subcommand is called as
its module is, with hyphens, and takes the module's own options; `python -m MODULE` stays the same thing, for launchers
such as `accelerate launch -m`. What only makers of the project need has no name here. Only the module that is asked for
is imported.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Sequence
from importlib import metadata

from index.errors import GoGError, cli

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "begin": {
        "demo": ("agents.demo", "the whole road on the embedded world: build, train, compare"),
        "play": ("gog_env.play", "play episodes yourself, or watch a policy, on a page (extra: serve)"),
    },
    "knowledge": {
        "build-index": ("gog_env.build_index", "build and seal an index of your documents and pictures"),
        "index": ("index", "verify, inspect and compare sealed indexes"),
        "import": ("index.importers", "recorded searches and published knowledge bases as a source"),
        "serve": ("index.serve", "serve an index over HTTP to many trainers (extra: serve)"),
        "train-encoder": ("index.train_encoder", "fit a small CLIP to your own pictures"),
    },
    "tasks": {
        "world": ("gog_env.world", "make a world: nations, banners, scenes, questions"),
        "doctor": ("gog_env.doctor", "what of a published benchmark is there, missing, unusable"),
        "serve-openenv": ("gog_env.plugs.openenv_server", "the environment over OpenEnv (extra: openenv)"),
        "replay": ("gog_env.replayed", "play an imported episode again, by its actions"),
    },
    "policies": {
        "evaluate": ("agents.evaluate", "play policies on tasks and compare them"),
        "compare": ("agents.compare", "tables of runs: paired differences, costs, published figures"),
        "report": ("agents.report", "one page about runs: curves, accuracy, episodes"),
        "video": ("gog_env.video", "an episode as GIF or MP4 (MP4: extra video)"),
        "plots": ("agents.plots", "plots of runs (extra: plots)"),
        "export": ("agents.export", "tasks, trajectories, chats as a Hugging Face data set"),
        "judge": ("agents.judge", "let a model grade answers as well"),
        "dialects": ("agents.dialects", "how models of each dialect write actions"),
        "demonstrations": ("agents.demonstrations", "episodes that earn full reward, as chats"),
        "train-sft": ("agents.train_sft", "supervised fine-tuning on demonstrations (extra: train)"),
        "curriculum": ("agents.curriculum", "how often a policy passes each task (extra: train)"),
        "train-rl": ("agents.train_rl", "reinforcement learning, GRPO (extra: train)"),
    },
}
"""Groups of subcommands: the module that each runs, and what it does in a few words."""
NAMES = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()}


def help_text() -> str:
    """What `gog` and `gog --help` print."""
    lines = [
        "usage: gog COMMAND [options]",
        "",
        "Look at the whole picture, look closer, search, learn when to do which. The same as python -m MODULE.",
    ]
    for group, commands in COMMANDS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<15} {module:<29} {about}" for name, (module, about) in commands.items()]
    lines += [
        "",
        "gog COMMAND --help tells more; gog --version the version.",
        "example: gog evaluate --policy glance,oracle-crop --limit 100",
    ]
    return "\n".join(lines)


def module_of(name: str) -> str:
    """The module that a subcommand runs.

    Raises:
        GoGError: there is no such command; says which are near.

    >>> module_of("train-rl"), module_of("train_rl"), module_of("index")
    ('agents.train_rl', 'agents.train_rl', 'index.__main__')
    """
    asked = name.replace("_", "-")
    if asked not in NAMES:
        near = difflib.get_close_matches(asked, NAMES, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(NAMES)}"
        raise GoGError(f"there is no command {name!r}; {hint}")
    module = NAMES[asked]
    found = importlib.util.find_spec(module)
    return f"{module}.__main__" if found is not None and found.submodule_search_locations else module


def main(argv: Sequence[str] | None = None) -> int | None:
    """Runs the command that the first argument names, with the rest."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if given[0] == "--version":
        try:
            print(f"glance-or-gaze {metadata.version('glance-or-gaze')}")
        except metadata.PackageNotFoundError:
            raise GoGError("this checkout is not installed, so it has no version; pip install -e .") from None
        return 0
    status: int | None = importlib.import_module(module_of(given[0])).main(given[1:])
    return status


def console() -> None:
    """The entry point that an installation puts on the path."""
    cli(main)


if __name__ == "__main__":
    console()
