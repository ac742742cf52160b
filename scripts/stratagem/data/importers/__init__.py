"""Collections of other tools as a sample sheet.

In: a collection as its tool keeps it. Out: a new folder that holds

    samples.csv   one row a sample: `image`, `mask` (paths relative to the sheet's folder), perhaps `part`
    study.yaml    the keys of a config that read the sheet: `sheet`, `classes`, `labels`
    masks/        masks that had to be drawn from outlines: PNG, uint8 (H, W), value = class, 255 = ignore
    images/       channels that had to be joined (nnU-Net): TIFF, (H, W, C)

Images are named where they are, never copied. The folder appears whole or not at all, and never in
place of one that holds something. An importer returns what it did, in sentences; nothing is left out
without one. Every fault of a collection stands in one `DataError`. What indexing checks of any sample
(sizes, readable pixels) is left to it, except where an importer needs the pixels itself.
Imports: `core`, `data.image`, `data.labels`.
"""
