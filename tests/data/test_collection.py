"""A data set's samples are found by its keys, in folders or in a sheet."""

from stratagem.data.collection import samples_of


def test_folders_and_a_sheet_give_the_same_samples(dataset, tmp_path):
    """By the same files."""
    images, masks = dataset
    folders = {"images": str(images), "masks": str(masks), "mask_name": "{stem}"}
    found = samples_of(folders, None, None)
    rows = [
        f"{one.image.relative_to(tmp_path)},{one.masks[0].relative_to(tmp_path)}\n" for one in found.samples
    ]
    (tmp_path / "sheet.csv").write_text("image,mask\n" + "".join(rows))
    listed = samples_of({"sheet": str(tmp_path / "sheet.csv")}, None, None)
    assert [one.image for one in listed.samples] == [one.image for one in found.samples]
    assert [one.masks for one in listed.samples] == [one.masks for one in found.samples]


def test_images_may_have_a_name_of_their_own(dataset):
    """The key `image_name` is used where it is there."""
    images, masks = dataset
    (images / "a.png").rename(images / "a_sat.png")
    keys = {"images": str(images), "masks": str(masks), "mask_name": "{stem}", "image_name": "{stem}_sat"}
    assert [one.sample for one in samples_of(keys, None, None).samples] == ["a_sat"]
