"""The train loop and all that it needs to go on after it was killed.

In: a network, batches, options, a function that scores held-out images.
Out: a trained network, its history and cost; records on the way.
Imports: `core`, `data`, `augmentation`, `loading`, `networks`, `transfer`; never the study.
"""
