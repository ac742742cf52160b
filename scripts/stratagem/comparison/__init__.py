"""From the counts of all runs to effects, intervals, verdicts, costs and savings.

In: stored evaluations, histories and costs.
Out: the report's tables.
Imports: `core`, `data`, `evaluation`.
"""
