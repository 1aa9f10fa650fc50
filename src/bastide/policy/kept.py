"""Answers kept by all that they depend on: a key that leaves nothing out needs no invalidation."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Of bounded size: where it is full, it begins anew."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._held: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        return self._held.get(key)

    def keep(self, key: K, value: V) -> V:
        with self._lock:
            if len(self._held) >= self._size_max:
                self._held.clear()
            self._held[key] = value
        return value
