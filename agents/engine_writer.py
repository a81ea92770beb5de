"""Writes the turns of many rollouts token by token, going on from what the model has read before.

Decisions: `CachedWriter` uses the model's own forward pass, so that any class of the Qwen-VL family works; it hands
over embedded pictures (`mm_encoder_outputs`), positions and masks. A prompt that several rollouts share is read once.
Rollouts that have ended their turn leave the batch as soon as a few of them have, and the last few that are still
writing do not keep all others waiting: a call ends with their turns unfinished. Each token of a rollout is drawn by
one number of the rollout's own generator, through the inverse of the distribution's cumulative sum: the same whatever
else is in the batch, up to rounding in the forward pass (batches of other sizes sum in another order, which changes
logits in the seventh digit, so a token may differ where a number falls that close to an edge).
`agents.engine_rereading` is for classes without these parts: it reads the whole chat again at every turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from agents.engine_cache import SlotCache, parts_of
from agents.engine_chat import Picture
from agents.engine_sampling import Sampling, Stream, Written, batches, choose

#: Rows leave the batch when at least this share of it has ended its turn.
_LEAVE = 0.125
#: When no more than this share of the rows still writes, it waits, and writes on beside the next turns of the others.
_WAIT = 0.25
_VISION_BATCH = 64


def can_continue(model: Any) -> bool:
    """True for classes whose parts `CachedWriter` knows: the Qwen2-VL, Qwen2.5-VL and Qwen3-VL families."""
    body = getattr(model, "model", None)
    return (
        hasattr(body, "language_model")
        and hasattr(body, "get_rope_index")
        and hasattr(body, "get_image_features")
        and getattr(model.config.get_text_config(), "_attn_implementation", "sdpa") in ("sdpa", "eager")
    )


class CachedWriter:
    """Continues from a key/value cache.

    Args:
        model: an unwrapped model for which `can_continue` is true; adapters may be inside.
    """

    def __init__(self, model: Any) -> None:
        """Finds the model's parts."""
        self.model, self.body, self.head = model, model.model, model.get_output_embeddings()
        self.picture_id = model.config.image_token_id
        self.cache = SlotCache()
        self.live: list[Stream] = []

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.get_input_embeddings().weight.device

    def reset(self) -> None:
        """Forgets all rollouts; keeps its memory on a CPU, where it is dear to make and cheap to keep."""
        self.live = []
        self.cache.clear(keep=self.device.type == "cpu")

    def drop(self, streams: Sequence[Stream]) -> None:
        """Forgets rollouts that have ended."""
        gone = {id(stream) for stream in streams}
        staying = sum(id(stream) not in gone for stream in self.live)
        holes = [row for row in range(staying) if id(self.live[row]) in gone]
        movers = [row for row in range(staying, len(self.live)) if id(self.live[row]) not in gone]
        self.cache.fill(
            holes, movers, [self.live[row].read for row in movers]
        )  # only as many rows are copied as have ended in front
        for hole, mover in zip(holes, movers, strict=True):
            self.live[hole] = self.live[mover]
        self.live = self.live[:staying]
        for row, stream in enumerate(self.live):
            stream.row = row

    def write(
        self, streams: Sequence[Stream], limits: Sequence[int], numbers: np.ndarray | None, sampling: Sampling
    ) -> list[Written]:
        """Lets each rollout write its turn, until a token that ends it or its limit, or until only a few others write.

        Args:
            streams: all rollouts that are still played: those of the last call that were not dropped, and new ones.
                Those that had not ended their turn have nothing new to read and write on.
            limits: tokens that each may still write in its turn, at least 1.
            numbers: for sampling, (rollouts, at least the largest limit), uniform in 0..1.
            sampling: how tokens are chosen.
        """
        known = {id(stream) for stream in self.live}
        old, new = list(self.live), [stream for stream in streams if id(stream) not in known]
        position = {id(stream): number for number, stream in enumerate(streams)}
        logits = []
        with torch.no_grad():
            self._look([picture for stream in streams for picture in stream.pictures[stream.seen :]])
            if old:
                old, parts = self._by_length(old)
                logits += [self._read_on(old[first:last], first) for first, last in parts]
            if new:
                logits.append(self._read_prompts(new))
            self.live = [*old, *new]
            last = self._longest_first(torch.cat(logits))
            order = [position[id(stream)] for stream in self.live]
            return self._decode(last, order, limits, numbers, sampling)

    def _look(self, pictures: Sequence[Picture]) -> None:
        """Sends pictures that have not been seen yet through the vision tower."""
        fresh = [*{id(one): one for one in pictures if one.features is None}.values()]
        for start in range(0, len(fresh), _VISION_BATCH):
            batch = fresh[start : start + _VISION_BATCH]
            for picture, features in zip(batch, look(self.body, batch, self.device), strict=True):
                picture.features = features

    def _hidden(
        self, ids: torch.Tensor, positions: torch.Tensor, pictures: Sequence[Picture], cache: Any, mask: Any
    ) -> torch.Tensor:
        """The last hidden states of (rows, tokens) ids, pictures filled into their places in the order of the rows."""
        options: dict[str, Any] = {"position_ids": positions, "past_key_values": cache, "use_cache": True}
        if mask is not None:
            options["attention_mask"] = mask
        with self.cache.attended(self.body.language_model.config) if mask is not None else nullcontext():
            if not pictures:
                return self.body.language_model(inputs_embeds=self._embedded(ids), **options).last_hidden_state
            embedded = features_of([picture.features for picture in pictures])
            return self.body(input_ids=ids, mm_encoder_outputs={"image": embedded}, **options)[0]

    def _embedded(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model.get_input_embeddings()(ids)

    def _padded(self, pieces: Sequence[list[int]]) -> torch.Tensor:
        width = max(map(len, pieces))
        return torch.tensor([[*piece, *[0] * (width - len(piece))] for piece in pieces], device=self.device)

    def _last_logits(self, hidden: torch.Tensor, pieces: Sequence[list[int]]) -> torch.Tensor:
        last = torch.tensor([len(piece) - 1 for piece in pieces], device=self.device)
        return self.head(hidden[torch.arange(len(pieces), device=self.device), last])

    def _read_prompts(self, streams: list[Stream]) -> torch.Tensor:
        """Reads the prompts, each distinct one once, and gives every rollout its row."""
        distinct = [*{id(stream.prompt): stream.prompt for stream in streams}.values()]
        pieces = [prompt.ids for prompt in distinct]
        pictures = [picture for prompt in distinct for picture in prompt.pictures]
        ids = self._padded(pieces)
        positions, following = self.positions(pieces, [prompt.pictures for prompt in distinct], [0] * len(distinct))
        cache = DynamicCache(config=self.model.config.get_text_config())
        logits = self._last_logits(self._hidden(ids, positions, pictures, cache, None), pieces)
        numbers = {id(prompt): number for number, prompt in enumerate(distinct)}
        owners = [numbers[id(stream.prompt)] for stream in streams]
        first = len(self.live)
        self.cache.reserve(cache, first + len(streams), max(map(len, pieces)) + 64)
        self.cache.copy_from(cache, owners, first)
        for row, (stream, owner) in enumerate(zip(streams, owners, strict=True), start=first):
            stream.row, stream.read, stream.seen = row, len(stream.ids), len(stream.pictures)
            stream.position = following[owner]
        return logits[torch.tensor(owners, device=self.device)]

    def _by_length(self, streams: list[Stream]) -> tuple[list[Stream], list[tuple[int, int]]]:
        """Orders rows by how much they have to read, if that saves padding, and says which are read together."""
        lengths = [len(stream.ids) - stream.read for stream in streams]
        parts = list(batches(lengths))
        if len(parts) == 1:
            return streams, [(0, len(streams))]
        streams = self._moved(streams, [row for part in parts for row in part])
        ends = np.cumsum([len(part) for part in parts]).tolist()
        return streams, list(zip([0, *ends[:-1]], ends, strict=True))

    def _moved(self, streams: Sequence[Stream], order: Sequence[int]) -> list[Stream]:
        """Makes row `order[i]` the i-th; returns the rollouts, which stood in their rows, in their new order."""
        self.cache.move(order, [stream.read for stream in streams])
        moved = [streams[row] for row in order]
        for row, stream in enumerate(moved):
            stream.row = row
        return moved

    def _longest_first(self, logits: torch.Tensor) -> torch.Tensor:
        """Orders rows by their lengths where that lets attention look at fewer slots; returns their logits so."""
        lengths = [stream.read for stream in self.live]
        if self.device.type != "cpu" or len(parts_of(sorted(lengths, reverse=True))) == 1:
            return logits
        order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
        self.live = self._moved(self.live, order)
        return logits[torch.tensor(order)]

    def _read_on(self, streams: list[Stream], first: int) -> torch.Tensor:
        """Reads what was added since each rollout's last turn, as one chunk; `first` is their first row."""
        pieces = [stream.ids[stream.read :] for stream in streams]
        pictures = [stream.pictures[stream.seen :] for stream in streams]
        ids = self._padded(pieces)
        starts = torch.tensor([stream.read for stream in streams], device=self.device)
        slots = starts[:, None] + torch.arange(ids.shape[1], device=self.device)
        length = max(stream.read for stream in streams) + ids.shape[1]
        self.cache.grow(length)
        positions, following = self.positions(pieces, pictures, [stream.position for stream in streams])
        mask = self.cache.place(first, first + len(streams), slots, length)
        flat = [picture for some in pictures for picture in some]
        hidden = self._hidden(ids, positions, flat, self.cache, mask)
        for stream, position in zip(streams, following, strict=True):
            stream.read, stream.seen, stream.position = len(stream.ids), len(stream.pictures), position
        return self._last_logits(hidden, pieces)

    def positions(
        self, pieces: Sequence[list[int]], pictures: Sequence[Sequence[Picture]], starts: Sequence[int]
    ) -> tuple[torch.Tensor, list[int]]:
        """Positions in time, height and width (3, rows, tokens) of right-padded pieces, and of what follows each.

        The model's own rule (M-RoPE, Qwen2-VL, arXiv 2409.12191, section 2.1), moved to where each piece begins.
        """
        width = max(map(len, pieces))
        table = torch.zeros((3, len(pieces), width), dtype=torch.long)
        following = []
        for row, (piece, some, start) in enumerate(zip(pieces, pictures, starts, strict=True)):
            if some:
                ids = torch.tensor([piece])
                grids = torch.tensor([picture.grid for picture in some])
                kinds = (ids == self.picture_id).int()
                own, _ = self.body.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grids)
                own = own[:, 0]
            else:
                own = torch.arange(len(piece)).expand(3, -1)
            table[:, row, : len(piece)] = own + start
            following.append(int(own.max()) + 1 + start)
        return table.to(self.device), following

    def _decode(
        self,
        logits: torch.Tensor,
        order: list[int],
        limits: Sequence[int],
        numbers: np.ndarray | None,
        sampling: Sampling,
    ) -> list[Written]:
        """Writes token by token; `order[row]` is the place in `limits`, `numbers` and the answer of a row's rollout."""
        live, device = self.live, self.device
        count, longest = len(live), max(limits)
        self.cache.grow(max(len(stream.ids) for stream in live) + longest)
        ends = torch.tensor(sampling.ends, device=device)
        places = torch.tensor(order, device=device)
        left = torch.tensor([limits[one] for one in order], device=device)
        slots = torch.tensor([stream.read for stream in live], device=device)
        positions = torch.tensor([stream.position for stream in live], device=device)
        draws = None if numbers is None else torch.from_numpy(numbers).to(device)
        tokens_out = torch.zeros((count, longest), dtype=torch.long, device=device)
        logprobs_out = torch.zeros((count, longest), device=device)
        entropies_out = torch.zeros_like(logprobs_out)
        lengths = torch.zeros(count, dtype=torch.long, device=device)
        writing, ended = count, torch.zeros(count, dtype=torch.bool, device=device)
        said = {place: stream.ids[stream.begun :] for place, stream in zip(order, live, strict=True)}
        for step in range(longest):
            who = places[:writing]
            tokens, logprobs, entropies = choose(logits, sampling, None if draws is None else draws[who, step])
            tokens_out[who, step], logprobs_out[who, step], entropies_out[who, step] = tokens, logprobs, entropies
            now = ~ended[:writing]
            lengths[who] += now
            ended[:writing] |= torch.isin(tokens, ends) | (left[:writing] <= step + 1)
            over = ended[:writing].tolist()
            if sampling.stops:
                for row, (place, token) in enumerate(zip(who.tolist(), tokens.tolist(), strict=True)):
                    said[place].append(token)
                    if not over[row] and sampling.stops.reached(said[place]):
                        over[row] = ended[row] = True
            gone = sum(over)
            if writing - gone <= _WAIT * count:
                break
            if gone > _LEAVE * writing:
                rows = self._part(over, [places, left, slots, positions, ended])
                tokens, writing = tokens[torch.tensor(rows, device=device)], len(rows)
            going = ~ended[:writing]
            most = int(slots[:writing].max()) + 1  # of those that still write: the longest may have left
            mask = self.cache.place(0, writing, slots[:writing, None], most)
            hidden = self._hidden(tokens[:, None], positions[:writing].expand(3, -1)[..., None], (), self.cache, mask)
            logits = self.head(hidden[:, -1])
            slots[:writing] += going  # rows that have ended write to the same slot, which nothing reads
            positions[:writing] += going
        stays = {place for place, over in zip(places.tolist(), ended.tolist(), strict=True) if not over}
        written = [
            Written(ids[:length], values[:length], spread[:length], place not in stays)
            for place, (ids, values, spread, length) in enumerate(
                zip(tokens_out.tolist(), logprobs_out.tolist(), entropies_out.tolist(), lengths.tolist(), strict=True)
            )
        ]
        for row, (stream, slot, position, place) in enumerate(
            zip(live, slots.tolist(), positions.tolist(), places.tolist(), strict=True)
        ):
            stream.row, stream.read, stream.position = row, slot, position
            stream.ids += written[place].ids
        return written

    def _part(self, over: list[bool], tables: list[torch.Tensor]) -> list[int]:
        """Moves rows that have ended behind those that go on; returns which rows now stand in front, in order."""
        staying = len(over) - sum(over)
        holes = [row for row in range(staying) if over[row]]
        movers = [row for row in range(staying, len(over)) if not over[row]]
        rows = list(range(staying))
        if holes:
            self.cache.swap(holes, movers, tables[2].tolist())
            for table in tables:
                kept = table[holes].clone()
                table[holes] = table[movers]
                table[movers] = kept
            for hole, mover in zip(holes, movers, strict=True):
                rows[hole] = mover
                self.live[hole], self.live[mover] = self.live[mover], self.live[hole]
        return rows


def look(body: Any, pictures: Sequence[Picture], device: Any) -> list[Any]:
    """What the vision tower makes of pictures, in one batch: for each its embeddings, and those of deepstack."""
    made = body.get_image_features(
        torch.cat([one.pixels for one in pictures]).to(device),
        torch.tensor([one.grid for one in pictures], device=device),
        return_dict=True,
    )
    deep = getattr(made, "deepstack_features", None) or []
    return [(pooled, [layer[number] for layer in deep]) for number, pooled in enumerate(made.pooler_output)]


def features_of(looks: Sequence[Any]) -> Any:
    """Embedded pictures, as `look` returns them, in the form that the models' forward passes take."""
    from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

    layers = [[deep[layer] for _, deep in looks] for layer in range(len(looks[0][1]))]
    parts: dict[str, Any] = {"pooler_output": [pooled for pooled, _ in looks], "deepstack_features": layers}
    return BaseModelOutputWithDeepstackFeatures(**parts)
