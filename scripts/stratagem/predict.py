"""From an image to a mask at the image's own size.

Probabilities are brought back through the resolution plan, then the class is taken: labels are never
interpolated.
"""

import numpy as np
import torch

from stratagem.execution import Execution
from stratagem.geometry import Plan

__all__ = ["predict"]


def predict(model: torch.nn.Module, image: np.ndarray, plan: Plan, execution: Execution) -> np.ndarray:
    """The predicted mask of one image.

    Parameters
    ----------
    model : Module
        Gives logits (1, K, FH, FW) of uint8 images (1, 3, FH, FW); left in the mode it is in.
    image : uint8, (H, W, 3)
    plan : Plan
    execution : Execution

    Returns
    -------
    uint8, (H, W)
        Class indices.
    """
    with torch.inference_mode(), execution.autocast():
        logits = model(execution.images(plan.forward(image)[None]))
    probabilities = plan.inverse(logits[0].float().softmax(dim=0), *image.shape[:2])
    return probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()
