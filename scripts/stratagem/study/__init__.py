"""The config: every key declared once, read and refused in a user's words, held against what is there.

In: the mapping that Snakemake read from YAML.
Out: a frozen study, and recipes of its runs.
Imports: the tables of the axes (plans, transforms, presets, networks, losses, metrics), `data`, `core`.
"""
