"""From the counts of all runs to intervals, verdicts and what would settle them; to costs and savings.

In: stored evaluations, histories and costs.
Out: the report's tables.
Imports: `core`, `data`, `evaluation`, `networks`.
"""
