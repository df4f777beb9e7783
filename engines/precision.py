"""Which file of a network runs: itself, or its INT8 or FP8 file beside it."""

from pathlib import Path
from typing import NamedTuple

from derain.engines import machine, models
from derain.engines.errors import UsageError
from derain.engines.modelfile import ModelFile, open_model

IN_FP16 = (
    *("tensorrt", "tensorrt_rtx", "torch_cuda", "torch_inductor"),
    *("onnxruntime-cuda", "onnxruntime-tensorrt"),
)
"""Backends that take fp16 by themselves, and 8 bits where they are asked for."""
FAST_IN_INT8 = ("openvino",)
"""Backends that INT8 is faster with; ONNX Runtime runs it on CPUs, slower than fp32."""
_IN_8_BITS = {"int8": models.int8_of, "fp8": models.fp8_of}


class Choice(NamedTuple):
    """`why`: in words for the user, "" where it was asked for."""

    file: ModelFile
    why: str


def choose(file: ModelFile, backend: str, asked: str) -> Choice:
    """What `backend` is to run of the network in `file`, with `asked` as its precision.

    Raises UsageError where 8 bits are asked for and there is no such file, or another than such a file has.
    """
    held = file.card.precision
    if held != "fp32":
        if asked not in ("auto", held):
            raise UsageError(f"the model {file.path} is {held}; give the fp32 file for the precision {asked}")
        return Choice(file, f"the file is {held.upper()}" if asked == "auto" else "")
    if asked in _IN_8_BITS:
        return Choice(open_in_8_bits(_IN_8_BITS[asked](file.path), file, asked), "")
    if asked != "auto":
        return Choice(file, "")
    path = models.int8_of(file.path)
    if reason := _against(backend, path):
        return Choice(file, reason)
    return Choice(open_in_8_bits(path, file, "int8"), f"the processor has {', '.join(able())}")


def open_in_8_bits(path: Path, exact: ModelFile, kind: str) -> ModelFile:
    """The "int8" or "fp8" file of the network in `exact`; UsageError where it is missing or another's."""
    make = "derain quantise" if kind == "int8" else f"derain quantise --precision {kind}"
    if not path.exists():
        raise UsageError(
            f"there is no {kind.upper()} file {path} of the network {exact.card.name!r}; make one with "
            f"{make}, or take the precision auto"
        )
    file = open_model(path)
    found = file.card.name, file.card.version, file.card.precision
    if found != (exact.card.name, exact.card.version, kind):
        raise UsageError(
            f"{path} holds the network {' '.join(found)} where that of {exact.path}, {exact.card.name} "
            f"{exact.card.version} {kind}, was looked for; make it again with {make}"
        )
    for what, one, other in (
        ("attention maps", maps_of(file), maps_of(exact)),
        ("states", file.states, exact.states),
    ):
        if one != other:
            raise UsageError(f"{path} has other {what} than {exact.path}; make it again with derain quantise")
    return file


def maps_of(file: ModelFile) -> tuple[tuple[str, ...], int]:
    """The names of its attention maps, and their scale."""
    return file.card.attention, file.card.attention_scale


def able() -> tuple[str, ...]:
    """What this processor has that makes INT8 fast."""
    return tuple(name for name in machine.cpu_features() or () if name in machine.INT8_FEATURES)


def _against(backend: str, path: Path) -> str:
    """Why the INT8 file at `path` is not taken by itself here, "" where it is."""
    if backend in IN_FP16:
        return "a card takes fp16 by itself"
    if not path.exists():
        return f"no {path.name} beside it"
    if backend not in FAST_IN_INT8:
        return f"{backend} is slower in INT8"
    if machine.cpu_features() is None:
        return "the system does not tell whether the processor has VNNI"
    return "" if able() else "the processor has no VNNI"
