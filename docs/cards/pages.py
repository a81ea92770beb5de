"""Brings the model cards, which lie beside their weights, into the guide: a hook of `make docs` (see mkdocs.yml).

In the repository the page on what is shipped links to the cards where they are; the site would lead nowhere with such
a link, since weights and their folders are no part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARDS = {
    "index/nano": "nano-encoder.md",
    "agents/nano/base": "nano-policy-base.md",
    "agents/nano/sft": "nano-policy-sft.md",
    "agents/nano/rl": "nano-policy-rl.md",
}
"""Folders with a card, and the pages that they become, beside this file."""


def on_files(files: Any, config: Any) -> Any:
    """Adds a page for each card."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).resolve().parent
    for folder, name in CARDS.items():
        text = (root / folder / "README.md").read_text(encoding="utf-8")
        files.append(File.generated(config, f"cards/{name}", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to the pages instead of the folders."""
    for folder, name in CARDS.items():
        if page.file.src_uri == "cards/README.md":
            markdown = markdown.replace(f"(../../{folder}/README.md)", f"({name})")
    return markdown
