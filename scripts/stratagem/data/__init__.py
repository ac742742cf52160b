"""A user's images and masks, found, read, checked, measured and divided.

In: folders or a sheet of raw images and masks.
Out: the index (one row a sample) and the split; images uint8 (H, W, 3), masks uint8 (H, W), 255 = ignore.
Imports: `core`.
"""
