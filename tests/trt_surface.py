"""What the published Python bindings of TensorRT have: names and arguments, read from their source.

    python tests/trt_surface.py CHECKOUT VERSION...

prints trt_surface.json anew from a checkout of https://github.com/NVIDIA/TensorRT (Apache 2.0), of its
branches release/VERSION; only names are taken.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

Surface = dict[str, dict[str, list[list[str]]]]
"""Class -> member -> the arguments of each of its overloads; of properties and enum values there are none."""

LIST = Path(__file__).with_name("trt_surface.json")
VERSIONS = ("10.13", "10.16", "11.0", "11.1")
CLASSES = (
    *("Builder", "BuilderFlag", "DataType", "EngineInspector", "ExecutionContextAllocationStrategy"),
    *("IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILayer", "ILogger"),
    *("INetworkDefinition", "IOptimizationProfile", "IProgressMonitor", "IRuntimeConfig", "ITensor"),
    *("ITimingCache", "LayerInformationFormat", "LayerType", "MemoryPoolType"),
    *("NetworkDefinitionCreationFlag", "OnnxParser", "ParserError", "ProfilingVerbosity", "Runtime"),
    *("Severity", "TensorIOMode"),
)
"""Of what a program that builds and runs engines may use."""
FILES = (
    *("python/src/infer/pyCore.cpp", "python/src/infer/pyGraph.cpp"),
    *("python/src/infer/pyFoundationalTypes.cpp", "python/src/parsers/pyOnnx.cpp"),
)
RTX_ONLY = ("ComputeCapability", "CudaGraphStrategy", "DynamicShapesKernelSpecializationStrategy")
"""Enums that TensorRT-RTX alone has; who uses them asks the quirks first."""


@cache
def surface(version: str) -> Surface:
    """Of that version of `tensorrt`, from the list."""
    found: Surface = json.loads(LIST.read_text())[version]["classes"]
    return found


def used_of_the_package(path: Path) -> Iterator[tuple[str, ...]]:
    """The names that a module reads of the package, ("BuilderFlag", "TF32"), where it calls it `trt` or
    `module`; no other name may stand for it."""
    inner: set[ast.AST] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node not in inner:
            chain, root = [node.attr], node.value
            while isinstance(root, ast.Attribute) and root.attr != "module":
                inner.add(root)
                chain.append(root.attr)
                root = root.value
            if isinstance(root, ast.Attribute) or (
                isinstance(root, ast.Name) and root.id in ("trt", "module")
            ):
                yield tuple(reversed(chain))


def missing(version: str, chain: tuple[str, ...]) -> bool:
    """Whether that version does not have what `chain` names."""
    names = surface(version)
    if chain[0].startswith("__"):
        return False  # of every module
    inside = all(name in names or name in names.get(over, {}) for over, name in pairwise(chain))
    return chain[0] not in names or not inside


def _read(checkout: str, version: str) -> dict[str, Any]:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", checkout, *words], check=True, capture_output=True, text=True
        ).stdout

    branch = f"release/{version}"
    text = "\n".join(git("show", f"{branch}:{path}") for path in FILES)
    source = f"github.com/NVIDIA/TensorRT {git('rev-parse', branch).strip()}: {', '.join(FILES)}"
    return {"source": source, "classes": {name: _members(text, name) for name in CLASSES}}


def _members(text: str, name: str) -> dict[str, list[list[str]]]:
    """Of one class or enum, out of the C++ that binds it; comments may hold anything."""
    text = re.sub(r"//[^\n]*", "", text)
    start = re.search(rf'py::(class_|enum_)<[^;]*?"{name}"', text)
    if start is None:
        return {}
    statement = text[start.start() :]
    statement = statement[: _end(statement)]
    if name == "ILogger":
        statement += "".join(re.findall(r"baseLoggerBinding\.def[^;]*;", text))
    found: dict[str, list[list[str]]] = {}
    for piece in re.split(r"(?=\.(?:def|def_property|def_property_readonly|value)\()", statement)[1:]:
        if "py::init" in piece.split(",")[0]:
            found.setdefault("__init__", []).append(re.findall(r'"(\w+)"_a', piece))
        elif member := re.match(r'\.(def|def_property|def_property_readonly|value)\(\s*"(\w+)"', piece):
            arguments = re.findall(r'"(\w+)"_a|py::arg\("(\w+)"\)', piece) if member[1] == "def" else []
            found.setdefault(member[2], []).append([first or second for first, second in arguments])
    kept = (item for item in found.items() if not re.match("add_(?!optimization)|__(?!init)", item[0]))
    return dict(sorted(kept))


def _end(statement: str) -> int:
    """Where the statement ends: at the first semicolon outside of all brackets."""
    depth = 0
    for place, letter in enumerate(statement):
        depth += (letter in "({[") - (letter in ")}]")
        if letter == ";" and depth == 0:
            return place
    return len(statement)


if __name__ == "__main__":
    listed = {version: _read(sys.argv[1], version) for version in sys.argv[2:]}
    sys.stdout.write(
        json.dumps(listed, separators=(",", ":"), sort_keys=True).replace('"classes":', '\n"classes":')
    )
