"""One run of a study: put together from its recipe and files, trained, tested, written.

In: a recipe, the files that a rule names.
Out: weights, history, cost, evaluation, predicted masks.
Imports: all below it: `study`, `training`, `evaluation`, `loading` and what these need.
"""
