"""What a server of an index counts, as Prometheus reads it (through `prometheus_client`, a registry of its own)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from index.knowledge import KnowledgeIndex

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts requests, errors, latencies, batch sizes; reads what waits and what is served when asked."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], int], index: Callable[[], KnowledgeIndex]) -> None:
        """Asks `waiting` for the length of the queue and `index` for the index when the text is written."""
        self._registry = CollectorRegistry()
        self._requests = Counter("gog_requests", "Requests.", ["path", "status"], registry=self._registry)
        self._errors = Counter("gog_errors", "Requests answered with 400 or above.", ["path"], registry=self._registry)
        self._seconds = Histogram(
            "gog_request_seconds", "From request to answer.", ["path"], buckets=_SECONDS, registry=self._registry
        )
        self._sizes = Histogram(
            "gog_batch_items", "Searched at once.", ["kind"], buckets=_SIZES, registry=self._registry
        )
        Gauge("gog_waiting_items", "Pictures and queries that wait.", registry=self._registry).set_function(
            lambda: float(waiting())
        )
        self._documents = Gauge("gog_index_documents", "Documents served.", ["fingerprint"], registry=self._registry)
        self._index = index

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if status >= 400:
            self._errors.labels(path).inc()

    def batch(self, kind: str, items: int) -> None:
        """Counts a batch."""
        self._sizes.labels(kind).observe(items)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        index = self._index()
        self._documents.clear()
        self._documents.labels(index.fingerprint).set(len(index))
        return generate_latest(self._registry)
