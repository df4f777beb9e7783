"""A user's own detector, an ONNX file, as a callable from a frame to boxes.

The contract. One input, float32 (1, 3, H, W), RGB in 0..1, batch 1 or dynamic. The frame is letterboxed to
it: scaled with its aspect kept, centred, the rest grey (114/255). Where H and W are dynamic it is not scaled;
its sides are padded up to multiples of 32. One output, float32, of the layout the user names:

- "rows": (N, 6) or (1, N, 6): x1, y1, x2, y2, score, class;
- "yolov8": (1, 4 + C, N): centre x, centre y, width, height, then a score for each of C classes.

Coordinates are pixels of the model's input. Boxes below the score are dropped, then those that overlap a
better one of their class by more than NMS_OVERLAP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.benchmarks.usefulness.boxes import Boxes, overlaps
from derain.benchmarks.usefulness.views import RGB
from derain.engines.base import one_line
from derain.engines.errors import DerainError, UsageError
from derain.engines.onnxruntime import runtime

GREY = 114
"""Level (0..255) around a letterboxed frame, as YOLO's trainers have it."""
MULTIPLE = 32
"""What dynamic heights and widths are padded to."""
NMS_OVERLAP = 0.45

Found: TypeAlias = npt.NDArray[np.float64]
"""(N, 6): x1, y1, x2, y2, score, class."""


def read_rows(output: Any) -> Found | None:
    """The layout "rows"; None where the shape is another."""
    rows = np.asarray(output, np.float64)
    if rows.ndim == 3 and rows.shape[0] == 1:
        rows = rows[0]
    return rows if rows.ndim == 2 and rows.shape[1] == 6 else None


def read_yolov8(output: Any) -> Found | None:
    """The layout "yolov8", each box with its best class; None where the shape is another."""
    raw = np.asarray(output, np.float64)
    if raw.ndim != 3 or raw.shape[0] != 1 or raw.shape[1] < 5:
        return None
    x, y, wide, high = raw[0, :4]
    scores = raw[0, 4:]
    corners = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
    return np.stack([*corners, scores.max(axis=0), scores.argmax(axis=0)], axis=1)


@dataclass(frozen=True)
class Layout:
    """How a detector writes its boxes; `read` gives None for an output of another shape."""

    name: str
    takes: str
    read: Callable[[Any], Found | None]


LAYOUTS: tuple[Layout, ...] = (
    Layout("rows", "(N, 6) or (1, N, 6): x1, y1, x2, y2, score, class", read_rows),
    Layout("yolov8", "(1, 4 + C, N): centre x, centre y, width, height and C scores", read_yolov8),
)


def layout_named(name: str) -> Layout:
    """The layout of that name; UsageError lists those there are."""
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    names = ", ".join(layout.name for layout in LAYOUTS)
    raise UsageError(f"there is no detector layout {name!r}; the layouts are {names}")


@dataclass(frozen=True)
class DetectorOptions:
    """What the user says of a detector: its `layout`, the least `score`, which `classes` (all if none)."""

    layout: str = LAYOUTS[0].name
    score: float = 0.25
    classes: tuple[int, ...] = ()
    threads: int | None = None


@dataclass(frozen=True)
class Letterbox:
    """Where a frame lies in the model's input: scaled by `scale`, `left` and `top` pixels in."""

    scale: float
    left: int
    top: int


class OnnxDetector:
    """A model file and its runtime. Raises UsageError for one that does not keep the contract."""

    def __init__(self, path: Path, options: DetectorOptions = DetectorOptions()) -> None:
        self.path = path
        self.options = options
        self._layout = layout_named(options.layout)
        self._session = open_session(path, options.threads)
        self._input, self._size = check_input(self._session, path)
        check_output(self._session, path, self._layout)

    def __call__(self, frame: RGB) -> Boxes:
        """Boxes in the frame, (N, 5), the best first. Raises DerainError where the model fails."""
        blob, box = letterboxed(frame, self._size)
        try:
            (output,) = self._session.run(None, {self._input: blob})
        except Exception as error:  # its errors have no base class of their own
            raise DerainError(
                f"the detector {self.path} failed on an input of shape {blob.shape}: {one_line(error)}"
            ) from error
        found = self._layout.read(output)
        if found is None:
            raise DerainError(unexpected(self.path, np.shape(output), self._layout))
        found = found[found[:, 4] >= self.options.score]
        if self.options.classes:
            found = found[np.isin(found[:, 5], self.options.classes)]
        return placed(suppressed(found), box, frame)


def open_session(path: Path, threads: int | None) -> Any:
    """An ONNX Runtime session on the CPU; UsageError where the file is none for it."""
    if not path.is_file():
        raise UsageError(f"there is no detector {path}; --detector takes a .onnx file")
    ort = runtime()
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4  # errors come back as exceptions, not on stderr
    chosen.intra_op_num_threads = threads or 0
    try:
        return ort.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base class of their own
        raise UsageError(
            f"the detector {path} is no ONNX model that can be run ({one_line(error)})"
        ) from error


def check_input(session: Any, path: Path) -> tuple[str, tuple[int, int] | None]:
    """The input's name and its (height, width), None where they are dynamic. Raises UsageError."""
    end = only("input", session.get_inputs(), path)
    match end.type, [side if isinstance(side, int) else None for side in end.shape]:
        case "tensor(float)", [1 | None, 3, int(height), int(width)]:
            return end.name, (height, width)
        case "tensor(float)", [1 | None, 3, None, None]:
            return end.name, None
    raise UsageError(
        f"the detector {path} has an input {end.type} of shape {written(end.shape)}; "
        "it takes tensor(float) of shape (1, 3, H, W), H and W both fixed or both dynamic"
    )


def check_output(session: Any, path: Path, layout: Layout) -> None:
    """Raises UsageError where the one output can't be of the layout, whatever its dynamic sizes are."""
    shape = only("output", session.get_outputs(), path).shape
    # A size that is not known could be what the layout wants: 1 before all others, 6 behind.
    sizes = [side if isinstance(side, int) else 6 if place else 1 for place, side in enumerate(shape)]
    if shape and layout.read(np.zeros(sizes)) is None:
        raise UsageError(unexpected(path, shape, layout))


def only(kind: str, ends: Sequence[Any], path: Path) -> Any:
    """The one input or output; UsageError where there are more."""
    if len(ends) != 1:
        names = ", ".join(end.name for end in ends)
        raise UsageError(f"the detector {path} has {len(ends)} {kind}s ({names}); it takes one {kind}")
    return ends[0]


def unexpected(path: Path, shape: Sequence[Any], layout: Layout) -> str:
    """What is said of an output that is not of the layout."""
    return (
        f"the detector {path} has an output of shape {written(shape)}; "
        f"the layout {layout.name!r} takes {layout.takes}"
    )


def written(shape: Sequence[Any]) -> str:
    """A shape as one reads it, (1, 3, ?, ?)."""
    return f"({', '.join(str(side) if isinstance(side, int) else '?' for side in shape)})"


def letterboxed(frame: RGB, size: tuple[int, int] | None) -> tuple[npt.NDArray[np.float32], Letterbox]:
    """(1, 3, H, W) float32 in 0..1 of `size` (height, width), and where the frame lies in it."""
    height, width = frame.shape[:2]
    if size is None:
        size = (-height % MULTIPLE + height, -width % MULTIPLE + width)
        scale = 1.0
    else:
        scale = min(size[0] / height, size[1] / width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size[1] - wide) // 2, (size[0] - high) // 2
    canvas = np.full((*size, 3), GREY, np.uint8)
    resized = frame if scale == 1 else cv2.resize(frame, (wide, high), interpolation=cv2.INTER_LINEAR)
    canvas[top : top + high, left : left + wide] = resized
    blob = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return blob, Letterbox(scale, left, top)


def suppressed(found: Found) -> Found:
    """The best of boxes that overlap more than NMS_OVERLAP in one class, by score; ties as they came."""
    rest = found[np.argsort(-found[:, 4], kind="stable")]
    kept: list[Found] = []
    while len(rest):
        kept.append(rest[:1])
        overlap = overlaps(boxes_of(rest[:1]), boxes_of(rest[1:]))[0]
        rest = rest[1:][overlap <= NMS_OVERLAP]
    return np.concatenate(kept) if kept else rest


def boxes_of(found: Found) -> Boxes:
    """The corners and the class, (N, 5)."""
    return found[:, [0, 1, 2, 3, 5]]


def placed(found: Found, box: Letterbox, frame: RGB) -> Boxes:
    """Boxes of the model's input as boxes of the frame, cut at its borders."""
    height, width = frame.shape[:2]
    sides = (found[:, :4] - [box.left, box.top, box.left, box.top]) / box.scale
    return np.column_stack([np.clip(sides, 0, [width, height, width, height]), found[:, 5]])
