"""Which file of a network runs: itself, or its INT8 file beside it."""

from pathlib import Path
from typing import NamedTuple

from derain.engines import machine, models
from derain.engines.errors import UsageError
from derain.engines.modelfile import ModelFile, open_model

FAST_IN_INT8 = ("openvino",)
"""Backends that INT8 is faster with; ONNX Runtime runs it on CPUs, slower than fp32."""


class Choice(NamedTuple):
    """`why`: in words for the user, "" where it was asked for."""

    file: ModelFile
    why: str


def choose(file: ModelFile, backend: str, asked: str) -> Choice:
    """What `backend` is to run of the network in `file`, with `asked` as its precision.

    Raises UsageError where INT8 is asked for and there is no such file, or another than an INT8 file has.
    """
    if file.card.precision == "int8":
        if asked not in ("auto", "int8"):
            raise UsageError(f"the model {file.path} is int8; give the fp32 file for the precision {asked}")
        return Choice(file, "the file is INT8" if asked == "auto" else "")
    if asked not in ("auto", "int8"):
        return Choice(file, "")
    path = models.int8_of(file.path)
    if asked == "int8":
        return Choice(open_int8(path, file), "")
    if not path.exists():
        return Choice(file, f"no {path.name} beside it")
    if reason := _against(backend):
        return Choice(file, reason)
    return Choice(open_int8(path, file), f"the processor has {', '.join(able())}")


def open_int8(path: Path, exact: ModelFile) -> ModelFile:
    """The INT8 file of the network in `exact`; raises UsageError where it is missing or another's."""
    if not path.exists():
        raise UsageError(
            f"there is no INT8 file {path} of the network {exact.card.name!r}; make one with "
            "derain quantise, or take the precision auto"
        )
    file = open_model(path)
    found = file.card.name, file.card.version, file.card.precision
    if found != (exact.card.name, exact.card.version, "int8"):
        raise UsageError(
            f"{path} holds the network {' '.join(found)} where that of {exact.path}, {exact.card.name} "
            f"{exact.card.version} int8, was looked for; make it again with derain quantise"
        )
    if maps_of(file) != maps_of(exact):
        raise UsageError(
            f"{path} has other attention maps than {exact.path}; make it again with derain quantise"
        )
    return file


def maps_of(file: ModelFile) -> tuple[tuple[str, ...], int]:
    """The names of its attention maps, and their scale."""
    return file.card.attention, file.card.attention_scale


def able() -> tuple[str, ...]:
    """What this processor has that makes INT8 fast."""
    return tuple(name for name in machine.cpu_features() or () if name in machine.INT8_FEATURES)


def _against(backend: str) -> str:
    """Why an INT8 file is not taken by itself here, "" where it is."""
    if backend not in FAST_IN_INT8:
        return f"{backend} is slower in INT8"
    if machine.cpu_features() is None:
        return "the system does not tell whether the processor has VNNI"
    return "" if able() else "the processor has no VNNI"
