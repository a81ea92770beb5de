"""Ways to damage a sealed index, and to forge one: what `benchmarks.tamper` tries.

Damage leaves the manifest as it is; it must be noticed. Forgery writes the manifest anew, with the hashes of what was
changed and its own checksum, as anybody can who has the program: opening may then refuse, or give an index that keeps
within its bounds. Every way is a function that changes a copy of an index in place; all chance comes from one seed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index import seal

SMALL = 4096
JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), float("-inf"), "", "0", "x" * 100_000, "\ud800", "\u202e\x1b[2J\n", "é" * 64, "0" * 64, "F" * 64, [],
    {}, [[]], [1, "2"], {"bytes": 1}, "../../etc/passwd", "/etc/passwd", "/dev/zero", "C:\\x", "a\0b", "nano", "./nano",
)  # fmt: skip
EXTREMES = (0, 1, -1, 127, 2**15, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))


class Marker:
    """What a pickle in an index would do if anybody loaded it: make a file."""

    def __init__(self, file: Path) -> None:
        """Names the file."""
        self.file = str(file)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.file,)


def single_bytes(index: Path, rng: np.random.Generator, count: int) -> Iterator[tuple[str, int, int]]:
    """(file, offset, new value) of changes of one byte: every file in turn, at random places."""
    names = [file for file in file_names(index) if (index / file).stat().st_size]
    for number in range(count):
        name = names[number % len(names)]
        data = (index / name).read_bytes()
        place = int(rng.integers(len(data)))
        yield name, place, data[place] ^ int(rng.integers(1, 256))


def truncations(index: Path, rng: np.random.Generator, sampled: int, small: int = SMALL) -> Iterator[tuple[str, int]]:
    """(file, length): every length of files of at most `small` bytes, and `sampled` lengths of the others."""
    for name in file_names(index):
        size = (index / name).stat().st_size
        if size <= small:
            lengths = range(size)
        else:
            lengths = sorted({0, 1, size // 2, size - 1, *rng.integers(size, size=sampled).tolist()})  # type: ignore[assignment]
        yield from ((name, length) for length in lengths)


def file_names(index: Path) -> list[str]:
    """All files of an index."""
    return sorted(file.relative_to(index).as_posix() for file in index.rglob("*") if file.is_file())


def write_manifest(index: Path, content: Mapping[str, Any]) -> None:
    """Writes a manifest with a checksum that is right, whatever its content."""
    content = {name: value for name, value in content.items() if name != "checksum"}
    stamped = {**content, "checksum": seal._digest(content)}
    (index / seal.MANIFEST).write_text(json.dumps(stamped, indent=2, sort_keys=True) + "\n")


def read_manifest(index: Path) -> dict[str, Any]:
    """A manifest's content, without its checksum."""
    content = json.loads((index / seal.MANIFEST).read_text())
    content.pop("checksum")
    return content


def reseal(index: Path, *names: str) -> None:
    """Gives files the hashes of what is in them now."""
    content = read_manifest(index)
    content["files"] |= {name: seal.file_facts(index / name) for name in names}
    write_manifest(index, content)


def mutated_manifest(index: Path, rng: np.random.Generator) -> str:
    """Changes one to three things in a manifest, makes its checksum right, often its fingerprint too; says what."""
    content = read_manifest(index)
    said = [_mutate(content, rng) for _ in range(int(rng.integers(1, 4)))]
    if rng.random() < 0.6:
        try:
            content["fingerprint"] = seal.index_fingerprint(
                content["source"], content["encoder"]["fingerprint"], content["options"]
            )
            said.append("fingerprint made right")
        except (KeyError, TypeError, AttributeError, ValueError):
            pass
    write_manifest(index, content)
    if rng.random() < 0.15:
        said.append(_mutate_text(index / seal.MANIFEST, rng))
    return ", ".join(said)


def mutated_options(index: Path, rng: np.random.Generator) -> str:
    """Changes how a manifest says that vectors are searched, and makes its fingerprint right."""
    content = read_manifest(index)
    vectors = content["options"]["vectors"]
    names = [*vectors, "kind"]
    name = names[int(rng.integers(len(names)))]
    if name == "kind" and rng.random() < 0.7:
        vectors[name] = ("flat", "ivf-sq8", "ivf-pq", "hnsw")[int(rng.integers(4))]
    else:
        among = (
            JUNK if rng.random() < 0.3 else (*EXTREMES, vectors[name] if name == "kind" else vectors[name] * 2, 2**20)
        )
        vectors[name] = among[int(rng.integers(len(among)))]
    content["fingerprint"] = seal.index_fingerprint(
        content["source"], content["encoder"]["fingerprint"], content["options"]
    )
    write_manifest(index, content)
    return f"{name} set to {str(vectors[name])[:20]!r}"


def _mutate(content: dict[str, Any], rng: np.random.Generator) -> str:
    places: list[tuple[Any, Any, str]] = []

    def walk(value: Any, path: str) -> None:
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            places.append((value, key, f"{path}/{str(key)[:30]}"))
            if isinstance(each, (dict, list)):
                walk(each, places[-1][2])

    walk(content, "")
    if not places:
        return "nothing left"
    holder, key, path = places[int(rng.integers(len(places)))]
    junk = JUNK[int(rng.integers(len(JUNK)))]
    way = int(rng.integers(6))
    if way == 0:
        del holder[key]
        return f"{path} dropped"
    if way == 1 and isinstance(holder, dict):
        name = junk if isinstance(junk, str) else str(junk)
        holder[name] = holder.pop(key)
        return f"{path} renamed to {name[:20]!r}"
    if way == 2:
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
        return f"{path} wrapped"
    if way == 3:
        other, name, source = places[int(rng.integers(len(places)))]
        holder[key] = json.loads(json.dumps(other[name]))
        return f"{path} set to {source}"
    if way == 4 and type(holder[key]) is int:
        holder[key] = EXTREMES[int(rng.integers(len(EXTREMES)))]
        return f"{path} set to {holder[key]}"
    holder[key] = junk
    return f"{path} set to {str(junk)[:20]!r}"


def _mutate_text(file: Path, rng: np.random.Generator) -> str:
    data = file.read_bytes()
    deep, nested = b"[" * 100_000, b'"x": ' + b"[" * 200 + b"]" * 200 + b', "libraries"'
    ways: list[tuple[str, Callable[[], bytes]]] = [
        ("100 MB of spaces", lambda: data + b" " * 100_000_000),
        ("nested 100,000 deep", lambda: data.replace(b'"libraries": {', b'"libraries": ' + deep, 1)),
        ("nested 200 deep", lambda: data.replace(b'"libraries"', nested)),
        ("a number of a million digits", lambda: data.replace(b'"version": 2', b'"version": ' + b"9" * 1_000_000)),
        ("a name twice", lambda: data.replace(b"{", b'{"version": 2, "version": 2,', 1)),
        ("a byte order mark", lambda: b"\xef\xbb\xbf" + data),
        ("UTF-16", lambda: data.decode().encode("utf-16")),
        ("a comment", lambda: data + b"// end"),
        ("no UTF-8", lambda: data.replace(b"source", b"sour\xff\xfe", 1)),
        ("an array", lambda: b"[" + data + b"]"),
    ]  # fmt: skip
    what, how = ways[int(rng.integers(len(ways)))]
    file.write_bytes(how())
    return what


def damage(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Bytes changed as somebody would who knows that headers lie at both ends; says how."""
    changed = bytearray(data)
    way = int(rng.integers(7))
    if way <= 2 and len(data) >= 16:  # a number of a header
        width = "<i" if rng.random() < 0.5 else "<q"
        size = struct.calcsize(width)
        near = min(len(data) - size, 1024)
        place = int(rng.integers(near + 1)) // 4 * 4
        place = place if rng.random() < 0.6 else len(data) - size - place
        value = EXTREMES[int(rng.integers(len(EXTREMES)))]
        value = value if size == 8 else max(-(2**31), min(2**31 - 1, value))
        struct.pack_into(width, changed, place, value)
        return f"{size} bytes at {place} set to {value}", bytes(changed)
    if way <= 4:
        for _ in range(int(rng.integers(1, 17))):
            if changed:
                changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        return "bits flipped", bytes(changed)
    cut = int(rng.integers(len(data) + 1))
    if way == 5:
        return f"cut at {cut}", bytes(changed[:cut])
    until = min(len(data), cut + int(rng.integers(1, 4096)))
    if rng.random() < 0.5:
        return f"zeros from {cut} to {until}", bytes(changed[:cut]) + bytes(until - cut) + bytes(changed[until:])
    return f"{cut} to {until} twice", bytes(changed[:until]) + bytes(changed[cut:])


def places(index: Path, outside: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """(what, how) of files that are something else than files of the folder, with the right content where possible."""
    for name in file_names(index):
        file, copy = index / name, outside / Path(name).name

        def put(make: Callable[[Path], Any], file: Path = file) -> Callable[[], None]:
            def how() -> None:
                file.unlink()
                make(file)

            return how

        shutil.copyfile(file, copy)
        yield f"{name} is a link to the same outside", put(lambda file, copy=copy: file.symlink_to(copy))
        yield f"{name} is a link to /dev/zero", put(lambda file: file.symlink_to("/dev/zero"))
        yield f"{name} is a link to itself", put(lambda file: file.symlink_to(file.name))
        yield f"{name} is a link to nothing", put(lambda file: file.symlink_to("nothing"))
        yield f"{name} is a pipe", put(lambda file: os.mkfifo(file))
        yield f"{name} is a folder", put(lambda file: file.mkdir())

    def move() -> None:
        shutil.move(index / "text", outside / "text")
        (index / "text").symlink_to(outside / "text")

    yield "text is a link to a folder outside", move
