"""Labels become classes, the background and what is ignored set apart."""

from stratagem.data.importers.classes import Classes


def test_labels_are_numbered_in_their_order():
    """What means the background or nothing takes no number."""
    faults: list[str] = []
    found = Classes.of(["vein", "ground", "cell", "unsure"], ["ground"], ["unsure"], faults)
    assert found.names == ["background", "vein", "cell"]
    assert found.values == {"vein": 1, "cell": 2, "ground": 0, "unsure": 255}
    assert faults == []


def test_as_many_classes_as_a_mask_holds():
    """254 beside the background, and 255 is ignored; one more is a fault, and so is none."""
    for count, said in (
        (254, []),
        (255, ["255 classes, where a mask holds 254"]),
        (0, ["no object of any class"]),
    ):
        faults: list[str] = []
        Classes.of([f"c{number}" for number in range(count)], (), (), faults)
        assert faults == said


def test_a_label_without_a_name_is_a_fault():
    """No class can be called by it; beside other faults the want of a class is not told."""
    faults: list[str] = []
    Classes.of(["cell", " "], (), (), faults)
    assert faults == ["a label without a name"]
    Classes.of([], (), (), faults)
    assert faults == ["a label without a name"]
