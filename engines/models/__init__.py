"""The shipped networks: ONNX files with their cards inside."""

from importlib.resources import files
from pathlib import Path

from derain.engines.errors import UsageError

SHELF = Path(str(files(__name__)))
"""The folder they lie in."""

FAMILY = ("realtime-l", "realtime-m", "realtime-s")
"""What "auto" chooses among, of those on the shelf: the best first, each slower than those after it."""

TWINS = {"realtime-s": "realtime-s-video"}
"""By a network of single frames its recurrent twin: better on moving rain, a little slower, and of no use for
pictures that stand alone."""

GLANCE = "glance"
"""The cheap network that only looks where rain may be; it restores nothing and is not offered."""

INT8, FP8 = ".int8.onnx", ".fp8.onnx"
"""End the names of a network's INT8 and FP8 files, beside NAME.onnx."""


def shipped() -> tuple[Path, ...]:
    """The files of the networks that restore, in the order of their names; not their files in 8 bits."""
    found = (path for path in SHELF.glob("*.onnx") if not path.name.endswith((INT8, FP8)))
    return tuple(sorted(path for path in found if path.stem != GLANCE))


def ranked(sequence: bool = False) -> tuple[Path, ...]:
    """What "auto" chooses among, the best first; nothing where this installation has none of it.

    `sequence`: for frames that are restored one after another, where each twin stands before its still one.
    """
    known = {path.stem: path for path in shipped()}
    names = [n for name in FAMILY for n in ((TWINS.get(name), name) if sequence else (name,))]
    return tuple(known[name] for name in names if name in known)


def in_order() -> tuple[Path, ...]:
    """All that `shipped` gives: those that "auto" chooses among first, the best at the head."""
    first = ranked(sequence=True)
    return (*first, *(path for path in shipped() if path not in first))


def int8_of(network: Path) -> Path:
    """Where the INT8 file of the network at `network` is, if there is one."""
    return network.with_name(network.stem + INT8)


def fp8_of(network: Path) -> Path:
    """Where its FP8 file is, if there is one."""
    return network.with_name(network.stem + FP8)


def exact_of(network: Path) -> Path:
    """Where the fp32 file of the network at `network`, itself or its file in 8 bits, is, if there is one."""
    name = network.name
    endings = [ending for ending in (INT8, FP8) if name.endswith(ending)]
    return network.with_name(name.removesuffix(endings[0]) + ".onnx") if endings else network


def find(name_or_path: str | Path) -> Path:
    """The file of a shipped network by its name ("auto": the best), or the path it is given.

    Raises UsageError where a name is not that of a shipped network; a path is not opened here.
    """
    if name_or_path == "auto" and (best := ranked()):
        return best[0]
    known = {path.stem: path for path in shipped()}
    if isinstance(name_or_path, str) and name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix == ".onnx" or len(path.parts) > 1 or path.exists():
        return path
    names = ", ".join(known) or "none in this installation"
    raise UsageError(
        f"there is no network {name_or_path!r}; the shipped ones are: {names}; "
        "or give the path of a .onnx file"
    )
