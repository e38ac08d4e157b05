"""The data of a live flame graph.

A `Trie` eats the batches of a session and gives its `Frame`s; for another order or metric one makes another `Trie`.
Names are as the rows have them: who writes them into a format of lines has to escape `;` and line ends.
"""

from __future__ import annotations

from tracer._fast.trie import LEVELS, METRICS, OTHER, Frame, Trie

__all__ = ["LEVELS", "METRICS", "OTHER", "Frame", "Trie"]
