"""The shipped networks: ONNX files with their cards inside."""

from importlib.resources import files
from pathlib import Path

from derain.engines.errors import UsageError

DEFAULT = "realtime"
"""The shipped network that "auto" stands for."""


INT8 = ".int8.onnx"
"""Ends the name of a network's INT8 file, beside NAME.onnx."""


def shipped() -> tuple[Path, ...]:
    """The network files that came with the package, in the order of their names; not their INT8 files."""
    folder = Path(str(files(__name__)))
    return tuple(sorted(path for path in folder.glob("*.onnx") if not path.name.endswith(INT8)))


def int8_of(network: Path) -> Path:
    """Where the INT8 file of the network at `network` is, if there is one."""
    return network.with_name(network.stem + INT8)


def find(name_or_path: str | Path) -> Path:
    """The file of a shipped network by its name ("auto": the default), or the path it is given.

    Raises UsageError where a name is not that of a shipped network; a path is not opened here.
    """
    known = {path.stem: path for path in shipped()}
    name = DEFAULT if name_or_path == "auto" else name_or_path
    if isinstance(name, str) and name in known:
        return known[name]
    path = Path(name)
    if isinstance(name_or_path, Path) or path.suffix == ".onnx" or len(path.parts) > 1 or path.exists():
        return path
    names = ", ".join(known) or "none in this installation"
    raise UsageError(
        f"there is no network {str(name)!r}; the shipped ones are: {names}; or give the path of a .onnx file"
    )
