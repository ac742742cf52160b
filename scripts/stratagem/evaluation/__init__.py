"""Held-out images: predicted at their own size under a bound of memory, counted, scored.

In: a network, a resolution plan, rows of the index.
Out: predicted masks uint8 (H, W), counts and scores.
Imports: `core`, `data`, `resolution`, `networks`.
"""
