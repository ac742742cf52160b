"""The fourth family: weights from elsewhere, which of them a network takes, and what stays frozen.

In: a weights file, an address or a published name; a network.
Out: a network with these weights, a table of what was taken, and what learns when.
Imports: `core`, `networks`.
"""
