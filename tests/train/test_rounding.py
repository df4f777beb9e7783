"""Networks that train under INT8's rounding, and the Q/DQ file that rounds as they do."""

import copy
from collections import Counter

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.train.export import parity, to_onnx
from derain.train.networks.network import Restored
from derain.train.quantise import to_int8
from derain.train.rounding import (
    Range,
    RoundedConv,
    exact,
    range_of,
    ranges,
    rounded,
    rounding,
    set_ranges,
    with_rounding,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class Twice(nn.Module):
    """Two convolutions that look at the same, one of them at what it gave itself too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))

    def forward(self, rainy: Tensor) -> Restored:
        seen = torch.relu(self.one(rainy)) + self.other(rainy)
        return Restored(rainy + torch.tanh(self.one(seen)))


def pictures(count: int = 4, side: int = 32) -> list[Pixels]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (4, 4, 3), np.uint8) for _ in range(count)]
    return [
        np.asarray(cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8) for one in coarse
    ]


def planes(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)


def rounded_twin(network: nn.Module) -> nn.Module:
    """A copy that rounds, its ranges those of `pictures`."""
    twin = rounding(copy.deepcopy(network))
    set_ranges(twin, ranges(network, map(planes, pictures())))
    return twin.eval()


@pytest.fixture
def network() -> nn.Module:
    return Twice().eval()


def test_the_file_computes_what_the_network_does(network: nn.Module) -> None:
    twin = rounded_twin(network)
    model = with_rounding(to_onnx(exact(twin), 4), twin)
    onnx.checker.check_model(model)
    assert parity(twin, model, 4) <= 1 / 255
    assert parity(network, model, 4) > parity(twin, model, 4), "it is not the exact one"


def test_all_that_is_kept_of_the_weights_are_integers(network: nn.Module) -> None:
    twin = rounded_twin(network)
    graph = with_rounding(to_onnx(exact(twin), 4), twin).graph
    kept = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    assert [values.dtype for values in kept.values() if values.ndim == 4] == [np.int8, np.int8]
    assert not [name for name in kept if name.endswith("_zero") and kept[name].any()]
    kinds = Counter(node.op_type for node in graph.node)
    # `rainy` is rounded by each of the two ranges, what `one` gave by that of `one` alone.
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"], kinds["Conv"]) == (3, 5, 3)


def test_ranges_are_those_of_post_training_quantisation() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network

        def forward(self, rainy: Tensor) -> Restored:
            return Restored(self.layers(rainy))

    twin, plain = rounded_twin(Wrapped().eval()), to_onnx(Wrapped().eval(), 4)
    by_nncf, ours = scales(to_int8(plain, pictures())), scales(with_rounding(plain, twin))
    assert len(ours) == len(by_nncf) == 2
    for name, (scale, kind) in by_nncf.items():
        assert ours[name][0] == pytest.approx(scale, rel=1e-5) and ours[name][1] == kind


def scales(model: onnx.ModelProto) -> dict[str, tuple[float, str]]:
    """Scale and kind of integer of each rounded tensor."""
    kept = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    return {
        node.input[0]: (float(kept[node.input[1]]), str(kept[node.input[2]].dtype))
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }


def test_gradients_pass_as_if_nothing_was_rounded_but_not_out_of_range() -> None:
    values = torch.tensor([-70.0, -0.3, 0.2, 70.0], requires_grad=True)
    step, least, greatest = torch.tensor(0.5), torch.tensor(-128.0), torch.tensor(127.0)
    (rounded(values, step, least, greatest) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None and values.grad.tolist() == [0.0, 2.0, 3.0, 0.0]


def test_the_exact_copy_is_the_network_it_was(network: nn.Module) -> None:
    twin = rounded_twin(network)
    again = exact(twin)
    assert again.state_dict().keys() == network.state_dict().keys()
    batch = planes(pictures()[0])
    assert torch.equal(again(batch).image, network(batch).image)
    assert not torch.equal(twin(batch).image, network(batch).image), "the copy alone rounds nothing"


def test_what_is_never_below_0_has_all_8_bits_above() -> None:
    for extremes, step, least in (
        ((0.0, 2.55), 0.01, 0),
        ((-0.1, 1.27), 0.01, -128),
        ((-2.54, 1.0), 0.02, -128),
    ):
        found = range_of(*extremes)
        assert found.step == pytest.approx(step) and found.least == least
    assert range_of(0.0, 0.0).step > 0, "what is always 0 divides nothing by 0"


def test_values_out_of_range_are_held_at_its_ends() -> None:
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    network = rounding(nn.Sequential(conv))
    set_ranges(network, {"0": Range(0.5, -128)})
    found = network(torch.tensor([-99.0, -0.3, 0.2, 0.25, 0.75, 99.0]).view(1, 1, 1, -1))
    assert found.flatten().tolist() == pytest.approx([-64.0, -0.5, 0.0, 0.0, 1.0, 63.5])
    assert isinstance(network[0], RoundedConv)


def test_a_convolution_that_the_file_has_lost_is_told(network: nn.Module) -> None:
    model = to_onnx(network, 4)
    for node in model.graph.node:
        if "network.other.weight" in node.input:
            node.op_type = "FusedConv"
    with pytest.raises(DerainError, match=r"no convolution of network\.other\.weight to round"):
        with_rounding(model, rounded_twin(network))


def test_the_runtime_finds_nothing_to_complain_of(
    network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    twin = rounded_twin(network)
    model = with_rounding(to_onnx(exact(twin), 4), twin)
    capfd.readouterr()
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert capfd.readouterr().err == ""
