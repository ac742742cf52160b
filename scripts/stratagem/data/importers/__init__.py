"""Collections of other tools as a sample sheet.

In: a collection as its tool keeps it.
Out: a new folder that appears whole or not at all, with what was done, in sentences.
Imports: `core`, `data.domains`, `data.files`, `data.image`, `data.labels`.

    samples.csv   one row a sample: `image`, `mask` (paths relative to the sheet's folder), perhaps `part`
    study.yaml    the keys of a config that read the sheet: `sheet`, `classes`, `labels`
    masks/        masks that had to be drawn from outlines: PNG, uint8 (H, W), value = class, 255 = ignore
    images/       channels that had to be joined (nnU-Net): TIFF, (H, W, C)

Images are named where they are, never copied. Nothing is left out without a sentence that says so, and all
faults of a collection stand in one `DataError`. What indexing checks of any sample (sizes, readable pixels)
is left to it, except where an importer needs the pixels itself.
"""
