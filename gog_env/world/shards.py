"""A knowledge source as Parquet (`id`, `title`, `text`, `images`), written row group by row group.

Files hold at most `SHARD` rows each and are named by their order; memory holds one row group. The schema says to
`datasets` that the images are pictures, so that its viewer shows them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHARD, ROW_GROUP = 4096, 256
_FEATURES = {
    **{name: {"dtype": "string", "_type": "Value"} for name in ("id", "title", "text")},
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
}


class Shards:
    """Parquet files of at most `SHARD` rows, written row group by row group."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns = [(name, pa.string()) for name in ("id", "title", "text")] + [("images", pa.list_(image))]
        features = {"huggingface": json.dumps({"info": {"features": _FEATURES}})}
        self._schema = pa.schema(columns, metadata=features)
        self._table, self._open = pa.Table.from_pylist, parquet.ParquetWriter
        self._folder = folder
        self._writer: Any = None
        self._rows: list[dict[str, Any]] = []
        self._written = 0

    def __enter__(self) -> Shards:
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Takes a row and writes what is full."""
        self._rows.append(row)
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if self._written % SHARD == 0:
            if self._writer is not None:
                self._writer.close()
            self._writer = self._open(self._folder / f"data-{self._written // SHARD:05d}.parquet", self._schema)
        self._writer.write_table(self._table(self._rows, self._schema))
        self._written += len(self._rows)
        self._rows.clear()
