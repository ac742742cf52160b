"""Pages that a person looks at: the comparison, the data, the augmentations.

In: tables, the index, examples.
Out: self-contained HTML, figures as SVG; figures draw numbers and compute none.
Imports: all below it.
"""
