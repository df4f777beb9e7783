"""VGG16's features (Simonyan, Zisserman 2015) for perceptual losses, its weights from a file the user gives.

The layers bear the names of torchvision's state dict (features.0.weight, features.0.bias,
features.2.weight, ...), so that a file saved from there loads as it is; its classifier.* are not needed.
Nothing is downloaded.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from derain.engines.errors import UsageError
from derain.train.checkpoint import DAMAGED, first_line

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""(channels, convolutions) between poolings."""
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pictures in 0..1, red, green, blue: what the weights were trained on."""
DEFAULT_LAYER = "relu2_2"
"""Deep enough to compare edges and textures instead of pixels, and shallow enough to keep them in their
places: what Johnson et al. (ECCV 2016) take where a picture must stay itself."""


class VGG16Features(nn.Module):
    """(N, 3, H, W) RGB in 0..1 -> the features (N, c, h, w) after `layer`; frozen.

    `layer`: relu<block>_<convolution>, relu1_1 to relu5_3; later ones are not built. `width`: a factor on
    every channel count, 4 at least, for tests.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layer: str = DEFAULT_LAYER, width: float = 1.0) -> None:
        super().__init__()
        self.features = layers_up_to(layer, width)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, picture: Tensor) -> Tensor:
        return torch.as_tensor(self.features((picture - self.mean) / self.deviation))


def layers_up_to(layer: str, width: float) -> nn.Sequential:
    """The layers of torchvision's `features`, by their numbers there, `layer` being the last."""
    layers: list[nn.Module] = []
    before = 3
    for block, (paper, count) in enumerate(BLOCKS, 1):
        after = max(4, round(paper * width))
        for number in range(1, count + 1):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            before = after
            if layer == f"relu{block}_{number}":
                return nn.Sequential(*layers)
        layers.append(nn.MaxPool2d(2))
    known = ", ".join(f"relu{b}_{n}" for b, (_, count) in enumerate(BLOCKS, 1) for n in range(1, count + 1))
    raise UsageError(f"VGG16 has no layer {layer!r}; it has {known}")


def load_vgg16(path: Path, layer: str = DEFAULT_LAYER, width: float = 1.0) -> VGG16Features:
    """VGG16 up to `layer` with the weights of `path`; UsageError where they are missing or others."""
    network = VGG16Features(layer, width)
    content = read_weights(path)
    weights: dict[str, Tensor] = {}
    for name, wanted in network.state_dict().items():
        found = content.get(name)
        if not isinstance(found, Tensor):
            raise UsageError(f"{path} is no state dict of VGG16 as torchvision names it: it has no {name}")
        if found.shape != wanted.shape:
            shapes = f"{tuple(found.shape)}, not {tuple(wanted.shape)}"
            raise UsageError(f"{path} is of another network than VGG16: {name} is {shapes}")
        weights[name] = found
    network.load_state_dict(weights)
    return network


def read_weights(path: Path) -> dict[str, object]:
    """What a file of weights holds, on the CPU, read without running any code that is in it."""
    if not path.is_file():
        raise UsageError(
            f"no VGG16 weights at {path}; give torchvision's state dict of vgg16, saved by torch.save"
        )
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except DAMAGED as error:
        raise UsageError(f"{path} is no file of weights: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is no state dict of VGG16: it holds a {type(content).__name__}")
    return content
