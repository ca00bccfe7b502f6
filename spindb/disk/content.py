"""Digests by which the content of a run is recognised wherever it lies."""

from __future__ import annotations

from hashlib import blake2b

from spindb.records import Content


def digest_of(data: bytes) -> str:
    """The digest that content is recognised by."""
    return blake2b(data, digest_size=16).hexdigest()


def content_of(table: bytes, config: bytes, previous_size: int | None = None) -> Content:
    """Digests of the bytes of a run's metrics and config.

    `previous_size` is how many bytes the metrics had when they were read before.
    """
    metrics, configured = digest_of(table), digest_of(config)
    begins = None
    if previous_size is not None and len(table) >= previous_size:
        begins = digest_of(table[:previous_size])
    return Content(digest_of((metrics + configured).encode()), len(table), metrics, configured, begins)
