"""The third family: samples in HDF5 shards, and batches of them in an order that is a function of the seed.

In: the index, a resolution plan, a manifest.
Out: shards; batches, image uint8 (B, H, W, 3) and mask uint8 (B, H, W).
Imports: `core`, `data`, `resolution`, `augmentation`.
"""
