"""The four-directional IRNN of SPANet (Wang et al. 2019, section 4.1, eq. 5).

h_t = max(0, alpha h_{t-1} + x_t) along each row and column, both ways, with an alpha for each channel and
direction. One recurrence, computed in three ways that give the same figures:

- on the CPU a step a pixel with its gradient by hand: each reads and writes once, nothing beats it there;
- on a GPU, where a kernel a pixel would mostly wait to start, in log2(length) rounds: each step is a function
  clamp(a h + b, low, high), and such functions are closed under composition for either sign of a;
- in an export as `torch`'s scan, that becomes one ONNX Scan with the length left open.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan
from torch.autograd.function import FunctionCtx, once_differentiable


def stepwise(x: Tensor, alpha: Tensor) -> Tensor:
    """h of eq. 5 along the first axis of `x` (L, ...), step by step; `alpha` broadcasts to x[0]."""
    h = torch.empty_like(x, memory_format=torch.contiguous_format)
    alpha = alpha.expand_as(x[0]).contiguous()
    rows, states = x.unbind(0), h.unbind(0)
    torch.clamp(rows[0], min=0, out=states[0])
    for now, last, state in zip(rows[1:], states, states[1:], strict=False):
        torch.addcmul(now, alpha, last, out=state).clamp_(min=0)
    return h


def stepwise_gradient(grad: Tensor, h: Tensor, alpha: Tensor) -> Tensor:
    """The gradient of x from that of h: d_t = [h_t > 0] (grad_t + alpha d_{t+1})."""
    d = torch.empty_like(h)
    alpha = alpha.expand_as(h[0]).contiguous()
    grads, gates, steps = grad.unbind(0), (h > 0).unbind(0), d.unbind(0)
    torch.mul(grads[-1], gates[-1], out=steps[-1])
    for t in range(len(steps) - 2, -1, -1):
        torch.addcmul(grads[t], alpha, steps[t + 1], out=steps[t]).mul_(gates[t])
    return d


def later(values: Tensor, by: int) -> Tensor:
    """(L, ...) moved `by` < L places along the first axis, zeros before."""
    return torch.cat((torch.zeros_like(values[:by]), values[:-by]))


def doubled(x: Tensor, alpha: Tensor) -> Tensor:
    """As `stepwise`, in log2(L) rounds; round k joins each step's function with that of 2^k steps before.

    Over h >= 0 a step is clamp(alpha h + x, 0, high): high is max(0, x) where alpha < 0, else there is none.
    What stands before the first step is the function that gives 0, so that in the end both bounds meet in h.
    """
    top = torch.full_like(x, torch.finfo(x.dtype).max)
    low, high, b = torch.zeros_like(x), torch.where(alpha < 0, x.clamp(min=0), top), x
    a, reach = alpha, 1
    while reach < len(x):
        ends = a * later(low, reach) + b, a * later(high, reach) + b
        # Only the first round can meet a negative a, which turns the interval around.
        ends = (torch.minimum(*ends), torch.maximum(*ends)) if reach == 1 else ends
        low, high = ends[0].clamp(low, high), ends[1].clamp(low, high)
        b = a * later(b, reach) + b
        a, reach = a * a, 2 * reach
    return b.clamp(low, high)


def doubled_gradient(grad: Tensor, h: Tensor, alpha: Tensor) -> Tensor:
    """As `stepwise_gradient`, in log2(L) rounds: steps d -> a d + b joined the same way, from the end."""
    gates = (h > 0).flip(0)
    a, b, reach = gates * alpha, grad.flip(0) * gates, 1
    while reach < len(h):
        b = a * later(b, reach) + b
        a, reach = a * later(a, reach), 2 * reach
    return b.flip(0)


class Recurrence(torch.autograd.Function):
    """Eq. 5 with its gradient: (L, ...) and alpha -> (L, ...); twice differentiating is refused."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, alpha: Tensor) -> Tensor:
        # Of a meta tensor there is a shape alone.
        h = torch.empty_like(x) if x.is_meta else doubled(x, alpha) if x.is_cuda else stepwise(x, alpha)
        ctx.save_for_backward(h, alpha)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        h, alpha = ctx.saved_tensors
        d = doubled_gradient(grads[0], h, alpha) if h.is_cuda else stepwise_gradient(grads[0], h, alpha)
        return d, (d[1:] * h[:-1]).sum(0).sum_to_size(alpha.shape)


def recurrence(x: Tensor, alpha: Tensor) -> Tensor:
    """h_t = max(0, alpha h_{t-1} + x_t), h_{-1} = 0, along the first axis; `alpha` broadcasts to x[0]."""
    if not torch.compiler.is_exporting():
        return torch.as_tensor(Recurrence.apply(x, alpha))  # type: ignore[no-untyped-call]

    # An exported graph is not trained, and scan's tracing warns of tensors that could be.
    x, alpha = x.detach(), alpha.detach()

    def step(last: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.relu(alpha * last + now)
        return state, state.clone()  # scan forbids that the two are one tensor

    return torch.as_tensor(scan(step, torch.zeros_like(x[0]), x, dim=0)[1])


class IRNN(nn.Module):
    """(N, C, H, W) -> what flows up, right, down and left, (4, N, C, H, W).

    "Up" at a pixel gathers from below it, as in the published code. `alpha` (4, C) starts at `start`. `bias`
    (4, C) is none of eq. 5, but the published weights have it: added at every pixel but the first of a line.
    It starts at 0, where eq. 5 is exact. Sums along a line grow: under mixed precision it counts in float32.
    """

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((4, channels), start))
        self.bias = nn.Parameter(torch.zeros(4, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.dtype == torch.float64 else x.float()
        up, down = self.both_ways(x.permute(2, 0, 1, 3), 0).permute(1, 2, 3, 0, 4)
        left, right = self.both_ways(x.permute(3, 0, 1, 2), 1).permute(1, 2, 3, 4, 0)
        return torch.stack((up, right, down, left))

    def both_ways(self, lines: Tensor, axis: int) -> Tensor:
        """(L, N, C, M) -> (L, 2, N, C, M): from the end and from the start; `axis` 0 is up and down."""
        back, forth = (0, 2) if axis == 0 else (3, 1)
        alpha, bias = (torch.stack((p[back], p[forth]))[:, None, :, None] for p in (self.alpha, self.bias))
        x = torch.stack((lines.flip(0), lines), 1)
        first = torch.arange(lines.shape[0], device=x.device).view(-1, 1, 1, 1, 1) == 0
        h = recurrence(x + bias * ~first, alpha)
        return torch.stack((h[:, 0].flip(0), h[:, 1]), 1)
