"""The formats that can be imported: the importer, what it is for, what it is given."""

from collections.abc import Callable

from stratagem.data.domains import divide_domains
from stratagem.data.importers.coco import import_coco
from stratagem.data.importers.cvat import import_cvat
from stratagem.data.importers.folders import import_folders
from stratagem.data.importers.labelmaps import import_labelmaps
from stratagem.data.importers.labelme import import_labelme
from stratagem.data.importers.nnunet import import_nnunet
from stratagem.data.importers.voc import import_voc

__all__ = ["FORMATS"]

IMAGES, MASKS = {"images": "folder of images"}, {"masks": "folder of masks; may be the same"}
FORMATS: dict[str, tuple[Callable[..., list[str]], str, dict[str, str]]] = {
    "nnunet": (import_nnunet, "a 2D raw data set of nnU-Net v2", {"folder": "DatasetXXX_Name"}),
    "coco": (import_coco, "objects of COCO", {"annotations": "JSON file"} | IMAGES),
    "labelme": (import_labelme, "labelme's JSON files", {"folder": "folder of the JSON files"}),
    "cvat": (import_cvat, "CVAT for images 1.1", {"annotations": "XML file"} | IMAGES),
    "voc": (import_voc, "Pascal VOC, Segmentation mask of CVAT", {"folder": "holds JPEGImages"}),
    "folders": (import_folders, "a folder a sample, as Kaggle's nuclei", {"folder": "holds the samples"}),
    "labelmaps": (import_labelmaps, "label maps of Cellpose or StarDist", IMAGES | MASKS),
    "domains": (divide_domains, "one folder as two sheets, of dark and light background", IMAGES | MASKS),
}
