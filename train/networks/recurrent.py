"""How a network that remembers is built and called: states, frame after frame.

A recurrent network has `state_shapes`, a (channels, scale) for each of its states, and its forward takes
(rainy, states=None), None for a first frame. It gives in `Restored.states` what the next frame takes:
(N, channels, H / scale, W / scale), as many as it takes, in the same order. A network without `state_shapes`
looks at each frame alone.
"""

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.train.networks.network import Restored

States: TypeAlias = tuple[Tensor, ...]


class StateShape(NamedTuple):
    """Of one state: its `channels`, and what the frame's height and width are divided by."""

    channels: int
    scale: int


def state_shapes(network: nn.Module) -> tuple[StateShape, ...]:
    """Of the states of a network, in its order; none where it looks at each frame alone."""
    return tuple(StateShape(*shape) for shape in getattr(network, "state_shapes", ()))


def no_memory(network: nn.Module, rainy: Tensor) -> States:
    """The states for `rainy` (N, 3, H, W) as a first frame: zero."""
    count, _, height, width = rainy.shape
    return tuple(
        rainy.new_zeros(count, shape.channels, height // shape.scale, width // shape.scale)
        for shape in state_shapes(network)
    )


def along(network: nn.Module, clips: Tensor, states: States = ()) -> list[Restored]:
    """What the network gives for each frame of clips (N, T, 3, H, W), with what it remembers of those before;
    before the first frame that is `states`, or nothing.

    Between frames the states are float32, as in a model file, whatever precision it works in.
    """
    states, found = states or no_memory(network, clips[:, 0]), []
    for rainy in clips.unbind(1):
        restored: Restored = network(rainy, states) if states else network(rainy)
        states = tuple(state.float() for state in restored.states)
        found.append(restored)
    return found


def joined(frames: list[Restored]) -> Restored:
    """The T frames of N clips as N * T pictures, a clip's one after another; the states are the last ones."""

    def row(parts: tuple[Tensor, ...]) -> Tensor:
        return torch.stack(parts, 1).flatten(0, 1)

    images, attentions, stages, states = zip(*frames, strict=True)
    attention = None if attentions[0] is None else row(attentions)
    return Restored(row(images), attention, tuple(row(one) for one in zip(*stages, strict=True)), states[-1])


def of_sample(network: nn.Module, rainy: Tensor) -> Restored:
    """What the network gives for a picture (3, H, W) or a clip (T, 3, H, W), as 1 or T pictures."""
    return joined(along(network, rainy[None] if rainy.dim() == 4 else rainy[None, None]))


class Unrolled(nn.Module):
    """A network with its memory laid open, so that how far it looks from frame to frame can be measured.

    (N, 3 + states, H, W): rainy and for each state a plane that it is read from, as what it gives for each
    state is added to the picture; and so are its attention maps.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.shapes = network, state_shapes(network)
        self.channels = 3 + len(self.shapes)

    def forward(self, planes: Tensor) -> Restored:
        rainy = planes[:, :3]
        states = tuple(
            F.avg_pool2d(planes[:, 3 + n : 4 + n], shape.scale).expand(-1, shape.channels, -1, -1)
            for n, shape in enumerate(self.shapes)
        )
        restored: Restored = self.network(rainy, states) if states else self.network(rainy)
        image = restored.image
        maps = () if restored.attention is None else (restored.attention,)
        for plane in (*restored.states, *maps):
            spread = F.interpolate(plane.mean(1, keepdim=True), image.shape[2:])
            # An odd share, or a state that is what the picture lacks would hide it.
            image = image + 0.37 * spread
        return Restored(image)
