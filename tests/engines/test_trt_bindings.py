"""The published Python bindings of full TensorRT, imported over libraries that hold nothing: what they have.

The wheel tensorrt-cu13-bindings is small; the libraries under it are not, and want a card. Nine functions
that give nothing are all that the bindings look for when they are imported.
"""

import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trt_fake
from trt_surface import RTX_ONLY, used_of_the_package

from derain.engines import build

ENGINES = Path(build.__file__).parent
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
FUNCTIONS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry"),
    *("getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins"),
)
LOOKING = """
import json, sys, tensorrt_bindings as trt
def found(chain):
    place = trt
    for name in chain:
        place = getattr(place, name, None)
    return place
def why_not():
    try:
        trt.Builder(trt.Logger())
    except Exception as error:
        return type(error).__name__
asked = json.load(sys.stdin)
print(json.dumps({
    "version": trt.__version__,
    "missing": [chain for chain in asked if found(chain) is None],
    "told": {".".join(chain): found(chain).__doc__ for chain in asked if found(chain) is not None},
    "no builder": why_not(),
}))
"""


def asked_of_classes() -> dict[tuple[str, ...], list[str]]:
    """The members that the stand-in has, which are those that the code uses, and their arguments."""
    asked: dict[tuple[str, ...], list[str]] = {}
    for kind in trt_fake.classes():
        for name, member in vars(kind).items():
            if not name.startswith("_"):
                is_method = inspect.isfunction(member)
                asked[kind.__name__, name] = (
                    list(inspect.signature(member).parameters)[1:] if is_method else []
                )
    return asked


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the installed bindings say of all that the code uses."""
    found, compiler = importlib.util.find_spec("tensorrt_bindings"), shutil.which("cc")
    if found is None or compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or the package tensorrt-cu13-bindings is not installed")
    folder = tmp_path_factory.mktemp("stubs")
    source = folder / "stubs.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    major = version_of(str(found.origin))
    for name in LIBRARIES:
        library = f"lib{name}.so.{major}"
        words = [
            compiler,
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{library}",
            str(source),
            "-o",
            str(folder / library),
        ]
        subprocess.run(words, check=True)
    names = [
        *(list(chain) for file in ("trt.py", "build.py", "trt_context.py") for chain in used(file)),
        *(list(chain) for chain in asked_of_classes()),
    ]
    told = subprocess.run(
        [sys.executable, "-c", LOOKING],
        input=json.dumps(names),
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(told.stdout)


def version_of(module: str) -> str:
    """The major version in a file that says __version__ = "11.4..."."""
    line = next(line for line in Path(module).read_text().splitlines() if line.startswith("__version__"))
    return line.split('"')[1].split(".")[0]


def used(file: str) -> list[tuple[str, ...]]:
    return sorted({chain for chain in used_of_the_package(ENGINES / file) if chain[0] not in RTX_ONLY})


def test_they_have_every_name_that_the_code_uses(look: Any) -> None:
    assert look["missing"] == []
    assert int(look["version"].split(".")[0]) >= 10


def test_methods_take_the_arguments_that_the_code_gives(look: Any) -> None:
    """As pybind writes them into what help() shows: (self: ..., network: ..., config: ...)."""
    for (kind, name), arguments in asked_of_classes().items():
        for argument in arguments:
            assert f"{argument}:" in look["told"][f"{kind}.{name}"], f"{kind}.{name} takes no {argument}"


def test_a_builder_that_can_not_be_is_an_error_that_building_looks_out_for(look: Any) -> None:
    assert look["no builder"] == "TypeError"
