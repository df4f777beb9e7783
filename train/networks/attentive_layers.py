"""What the generator and the discriminator of Qian 2018 are made of."""

from torch import nn


def channels(paper: int, width: float) -> int:
    """`paper`'s number of channels times `width`, 4 at least."""
    return max(4, round(paper * width))


def conv_relu(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A conv-relu block: the size kept or divided by `stride`, weights after He, biases zero."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.ReLU())
