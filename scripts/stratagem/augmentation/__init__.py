"""The second family: synthetic images, drawn before any is made, and what they do to the data.

In: a policy, a seed, samples.
Out: a manifest (one row a synthetic image); image and mask of a row, on a CPU or a GPU; an audit.
Imports: `core`, `data`.
"""
