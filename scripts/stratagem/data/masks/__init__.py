"""How the values or colours of mask files become classes: measured, asked, recognised.

In: the evidence of every mask of a set, and what the config says of them.
Out: one encoding for the set, or a question that names each reading.
Imports: `core`, `data.labels`, `data.image`.
"""
