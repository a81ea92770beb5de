"""A transformers model as a policy: chat in, one action out, for many episodes at once.

    policy = LmmPolicy("runs/sft/model")          # a folder that AutoProcessor and AutoModelForImageTextToText load
    actions = policy.act([episode.view for episode in episodes])

Decisions: whole episodes are played by `agents.engine`, which goes on from what the model has read (`play`); whoever
asks for one action at a time (`act`) has the whole chat read again, left-padded in one batch, so that the policy keeps
no state between calls. Greedily both take the same actions as long as every turn is well-formed; after a malformed one
they differ, because the engine leaves it in the model's context and a view has only the reason why it was malformed.
Sampling by `act` is seeded from the tasks and turns of the whole batch, never from the order of calls.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.card import NAME, PolicyCard, load_card, with_grounder
from agents.dialects import dialect, dialect_of, messages, read, tools_of
from agents.dialects.templates import make_ready
from agents.engine_stops import Stops
from gog_env.actions import Action
from gog_env.episode import Episode, EpisodeView
from index import extras, torchvision_ops  # noqa: F401  (the latter must come before transformers' processors)
from index.errors import ModelError

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def load_model(
    path: str | Path, dtype: str = "float32", dialect: str | None = None, grounder: str | None = None
) -> tuple[Any, Any, PolicyCard]:
    """Loads model, processor and card from a local folder, or from the hub where the user names a hub id.

    A Qwen2.5-VL whose chat template drops tools gets ours (`agents.dialects.templates`).

    Args:
        path: folder or hub id.
        dtype: of the weights.
        dialect: what the model speaks, where its folder does not say it (`card_in`).
        grounder: folder of a detector, for dialects that refer to things in words.

    Returns:
        The model (in `dtype`, evaluation mode), its processor, and its card.

    Raises:
        ModelError: the folder is missing or holds no image-text-to-text model, or there is no such dialect.
        GoGError: a library of the extra `train` is missing.
    """
    extras.need(*extras.MODELS)
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = Path(path).expanduser()
    if folder.exists() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{path} holds no config.json, so it is not a model; name a model's own folder, such as a run's model/"
        )
    name, cached = (str(folder), True) if folder.exists() else (str(path), _only_cached(str(path)))
    carded, is_carded = card_in(folder, dialect, grounder)
    try:
        processor = AutoProcessor.from_pretrained(name, local_files_only=cached)
        model = AutoModelForImageTextToText.from_pretrained(name, dtype=getattr(torch, dtype), local_files_only=cached)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"cannot load a model from {path} ({_first_line(error)}); name another model, or write this one again"
        ) from None
    # TRL pads prompts on the left but lets the processor pad their picture masks its own way: both must agree.
    processor.tokenizer.padding_side = "left"
    card = make_ready(processor, model.config.model_type, carded, is_carded)
    return model.eval(), processor, card


def card_in(folder: Path, name: str | None = None, grounder: str | None = None) -> tuple[PolicyCard, bool]:
    """The card of a model's folder, or that of a dialect.

    Args:
        folder: the model's.
        name: of a dialect: its card, unless the folder's is of that dialect already. None: as the folder says.
        grounder: folder of a detector.

    Returns:
        The card, and whether it says how boxes are written (else that depends on the model's family).

    Raises:
        ModelError: the card cannot be read, there is no such dialect, or no such detector.
    """
    card, said = load_card(folder), (folder / NAME).is_file()
    if name is not None and card.dialect != name:
        card, said = dialect(name).CARD, name != "gog"
    elif name is not None:
        dialect(name)
    return with_grounder(card, grounder), said


def _for_playing(path: str | Path, dialect: str | None, grounder: str | None) -> tuple[Any, Any, PolicyCard]:
    """A model where it is played fastest; trainers choose device and type themselves."""
    import torch

    on_gpu = torch.cuda.is_available()
    model, processor, card = load_model(path, "bfloat16" if on_gpu else "float32", dialect, grounder)
    return model.to("cuda" if on_gpu else "cpu"), processor, card


def check_hub_id(path: str) -> None:
    """Refuses what is neither a folder that is there nor a hub id.

    Raises:
        ModelError: the path is no `owner/name`, or `owner` is a folder here.
    """
    owner = path.split("/")[0]
    if not _HUB_ID.fullmatch(path) or owner == "runs" or Path(owner).exists():
        raise ModelError(
            f"model folder {path} does not exist; name a folder that train_sft or train_rl wrote, or a hub id"
        )


def _only_cached(path: str) -> bool:
    """Lets a hub id through: False if the hub knows it, True if the hub does not answer but it was loaded before.

    The network is asked once, and briefly.

    Raises:
        ModelError: the path is no hub id (`owner/name`, and no folder `owner` here), or there is no such model.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    check_hub_id(path)
    try:
        HfApi().model_info(path, timeout=5)
    except Exception as error:  # the hub's own, the network's, and those of whatever lies between
        if isinstance(try_to_load_from_cache(path, "config.json"), str):
            return True
        raise ModelError(
            f"{path} is neither a folder here nor a model that the hub gives us ({_first_line(error)}); "
            "name a folder that train_sft or train_rl wrote"
        ) from None
    return False


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def picture_tokens(model: Any) -> list[int]:
    """Ids of the tokens that stand for pictures, which a model must never write itself.

    A sampled picture token has no picture behind it: the next forward pass would fail, or read the wrong one.
    """
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return sorted({value for name in names if (value := getattr(model.config, name, None)) is not None})


def encode_chats(processor: Any, chats: Sequence[list[dict[str, Any]]], tools: list[Any] | None) -> Any:
    """Chats as one left-padded batch of tensors, ready for `generate`."""
    return processor.apply_chat_template(
        list(chats),
        tools=tools,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        processor_kwargs={"padding": True, "padding_side": "left", "return_tensors": "pt"},
    )


class LmmPolicy:
    """A multimodal language model behind the `Policy` interface.

    Args:
        path: model folder or hub id.
        temperature: 0 decodes greedily; otherwise samples.
        seed: of the sampling.
        batch_size: chats that `act` generates for at once.
        loaded: model, processor and card as `load_model` returns them, instead of loading `path`.
        dialect, grounder: as for `load_model`.
    """

    def __init__(
        self,
        path: str | Path,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 32,
        loaded: tuple[Any, Any, PolicyCard] | None = None,
        dialect: str | None = None,
        grounder: str | None = None,
    ) -> None:
        """Loads the model unless it is given: onto a GPU in bfloat16 where there is one, else in float32."""
        self.model, self.processor, self.card = loaded or _for_playing(path, dialect, grounder)
        self.name = Path(path).name if Path(path).name != "model" else Path(path).parent.name
        self.temperature, self.seed, self.batch_size = temperature, seed, batch_size
        self._engine: Any = None

    def play(self, episodes: Iterable[Episode], index: Any, batch_size: int = 64) -> Iterator[tuple[int, Episode]]:
        """Plays whole episodes and yields `(place, episode)` as they end.

        Args:
            episodes: none of them begun.
            index: what is searched.
            batch_size: episodes played side by side.

        Raises:
            GoGError: a search failed.
        """
        from agents.engine import Engine

        if self._engine is None:
            self._engine = Engine(self.model, self.processor, self.card)
        options = {"temperature": self.temperature, "seed": self.seed, "batch_size": batch_size}
        for place, rollout in self._engine.play(episodes, index, **options):
            written = sum(rollout.sampled)
            read = len(rollout.prompt_ids) + len(rollout.completion_ids) - written
            took = {"prompt_tokens": read, "completion_tokens": written, "pictures": rollout.shown}
            rollout.episode.costs |= took
            yield place, rollout.episode

    def act(self, views: Sequence[EpisodeView]) -> list[Action]:
        """One action for each view."""
        texts = self.generate(views)
        given = zip(texts, views, strict=True)
        return [read(text, self.card, view.picture, view.turns) for text, view in given]

    def generate(self, views: Sequence[EpisodeView]) -> list[str]:
        """The assistant turns that the model writes, one for each view, special tokens left out."""
        texts: list[str] = []
        for start in range(0, len(views), self.batch_size):
            texts += self._generate_batch(views[start : start + self.batch_size])
        return texts

    def _generate_batch(self, views: Sequence[EpisodeView]) -> list[str]:
        import torch

        batch = encode_chats(self.processor, [messages(view, self.card) for view in views], tools_of(self.card))
        batch = batch.to(self.model.device)
        options: dict[str, Any] = {"max_new_tokens": self.card.max_new_tokens, "do_sample": False}
        options["suppress_tokens"] = picture_tokens(self.model) or None
        options |= Stops(dialect_of(self.card).STOPS, self.processor.tokenizer).options()
        if self.temperature > 0:
            options.update(do_sample=True, temperature=self.temperature, top_k=0, top_p=1.0)
            names = "|".join(f"{view.task_id}/{len(view.turns)}" for view in views)
            torch.manual_seed(self.seed ^ zlib.crc32(names.encode()))
        with torch.inference_mode():
            output = self.model.generate(**batch, **options)
        new = output[:, batch["input_ids"].shape[1] :]
        return self.processor.batch_decode(new, skip_special_tokens=True)
