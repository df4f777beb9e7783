from pathlib import Path

import onnx_models
import pytest

from derain.engines.modelfile import open_model
from derain.engines.trt_plans import usual_profiles
from derain.engines.volumes import MOST_ELEMENTS, elements_per_pixel


def test_a_networks_largest_tensor_is_found(tmp_path: Path) -> None:
    wide = open_model(onnx_models.unshuffle(tmp_path, factor=4, channels=160, layers=3))
    assert elements_per_pixel(wide) == 160 / 16
    assert elements_per_pixel(open_model(onnx_models.conv(tmp_path, layers=2))) == 3
    assert elements_per_pixel(open_model(onnx_models.recurrent(tmp_path))) >= 3


@pytest.mark.parametrize("channels", [8, 1024, 4200])
def test_the_usual_shapes_are_what_can_be_addressed(tmp_path: Path, channels: int) -> None:
    """Of 4200 channels at 1/4 of the pixels not even a frame of 1080p can be."""
    model = open_model(onnx_models.unshuffle(tmp_path, channels=channels))
    frames, batches = usual_profiles(model)
    for count, height, width in (frames.most, batches.most):
        assert count * height * width * max(channels / 4, 3) <= MOST_ELEMENTS
        assert height % 2 == width % 2 == 0
    assert frames.most[0] == 1
    assert (frames.best == (1, 1080, 1920)) == (channels < 4200)
    assert (batches.most == (8, 1088, 1920)) == (channels == 8)
