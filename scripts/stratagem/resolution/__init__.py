"""The first family of strategies: how images of many sizes enter a network's frame, and the way back.

In: the sizes of a data set.
Out: a plan: windows of an image, its frame, and the inverse of both.
Imports: `core`, `data`.
"""
