"""VGG16's features: torchvision's names and shapes, and files of weights that don't fit."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from derain.engines.errors import UsageError
from derain.train.losses.vgg import DEVIATION, MEAN, VGG16Features, load_vgg16

WIDTH = 0.0625
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Numbers of the convolutions in torchvision's features."""


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """A slim state dict as torchvision's, with a classifier behind the features."""
    torch.manual_seed(0)
    network = VGG16Features("relu5_3", WIDTH)
    return {**network.state_dict(), "classifier.0.weight": torch.zeros(4, 4)}


def saved(content: object, tmp_path: Path) -> Path:
    path = tmp_path / "vgg16.pth"
    torch.save(content, path)
    return path


def test_names_shapes_and_count_are_those_of_vgg16() -> None:
    with torch.device("meta"):
        network = VGG16Features("relu5_3")
    names = [f"features.{number}.{part}" for number in CONVOLUTIONS for part in ("weight", "bias")]
    assert list(network.state_dict()) == names
    assert network.state_dict()["features.17.weight"].shape == (512, 256, 3, 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_714_688


@pytest.mark.parametrize(
    "layer,number,shape",
    [("relu1_2", 3, (4, 16, 16)), ("relu2_2", 8, (8, 8, 8)), ("relu3_3", 15, (16, 4, 4))],
)
def test_features_are_those_after_the_named_layer(
    weights: dict[str, Tensor], tmp_path: Path, layer: str, number: int, shape: tuple[int, ...]
) -> None:
    network = load_vgg16(saved(weights, tmp_path), layer, WIDTH)
    picture = torch.rand(2, 3, 16, 16)
    assert len(network.features) == number + 1
    features = network(picture)
    assert features.shape == (2, *shape)
    x = (picture - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(DEVIATION).reshape(3, 1, 1)
    for position in range(number + 1):
        if position in CONVOLUTIONS:
            name = f"features.{position}"
            x = nn.functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)
        else:
            x = torch.relu(x) if position - 1 in CONVOLUTIONS else nn.functional.max_pool2d(x, 2)
    assert torch.equal(features, x)


def test_the_features_are_frozen_and_still_pass_gradients(weights: dict[str, Tensor], tmp_path: Path) -> None:
    network = load_vgg16(saved(weights, tmp_path), width=WIDTH)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    picture = torch.rand(1, 3, 8, 8, requires_grad=True)
    network(picture).sum().backward()
    assert picture.grad is not None and float(picture.grad.abs().sum()) > 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no VGG16 weights at .*none\.pth; give torchvision's"):
        load_vgg16(tmp_path / "none.pth")


def test_other_names_are_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    renamed = {name.removeprefix("features."): value for name, value in weights.items()}
    with pytest.raises(UsageError, match=r"it has no features\.0\.weight"):
        load_vgg16(saved(renamed, tmp_path), width=WIDTH)


def test_other_shapes_are_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"features\.0\.weight is \(4, 3, 3, 3\), not \(64, 3, 3, 3\)"):
        load_vgg16(saved(weights, tmp_path))


def test_what_is_no_state_dict_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it holds a list"):
        load_vgg16(saved([1, 2], tmp_path))


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps(Harmful(), 2)])
def test_a_file_of_something_else_is_told_and_not_run(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vgg16.pth"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no file of weights"):
        load_vgg16(path)


def test_a_truncated_file_is_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(weights, tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UsageError, match="is no file of weights"):
        load_vgg16(path)


def test_a_damaged_file_of_the_old_kind_is_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"features.0.weight", b"\xff" * 17))
    with pytest.raises(UsageError, match="is no file of weights"):
        load_vgg16(path)


def test_an_unknown_layer_is_told() -> None:
    with pytest.raises(UsageError, match=r"no layer 'relu3_4'; it has relu1_1, relu1_2, .*relu5_3"):
        VGG16Features("relu3_4")
