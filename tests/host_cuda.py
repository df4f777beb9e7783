"""A CUDA driver made of the host: kernels compiled as C and run, thread after thread, on host memory.

It has the calls that `derain.pipeline.gpu.driver` makes, keeps the books on contexts and modules, and can be
told to fail. The "machine code" of a kernel is the name of a shared library. Needs a C compiler.
"""

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from derain.pipeline.gpu import convert

KERNELS = r"""
#define __global__
#define __device__
typedef struct { unsigned x, y; } Place;
static _Thread_local Place blockIdx, blockDim, threadIdx;
#include "yuv.cu"
#define EACH(place, end) \
    for (place.y = 0; place.y < end.y; place.y++) for (place.x = 0; place.x < end.x; place.x++)
#define LAUNCHED(kernel, Argument) void launch_##kernel(Place blocks, Place threads, void *argument) { \
    blockDim = threads; EACH(blockIdx, blocks) EACH(threadIdx, threads) kernel(*(Argument *)argument); }
LAUNCHED(to_rgb, ToRGB)
LAUNCHED(from_rgb, FromRGB)
"""

DRIVER = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
typedef struct { unsigned x, y; } Place;
typedef void (*Launch)(Place, Place, void *);
static _Atomic int retained, current, loaded, failure;
static _Thread_local int pushed;  /* each thread has a stack of contexts */
static char failing[64];

int books(void) { return retained * 10000 + current * 100 + loaded; }
void fail(const char *name, int result) { strcpy(failing, name); failure = result; }
static int result_of(const char *name, int in_context) {
    return in_context && pushed != 1 ? 201 : strcmp(name, failing) ? 0 : failure;
}
int cuInit(unsigned flags) { return result_of("cuInit", 0); }
int cuDeviceGet(int *device, int index) { *device = index; return index ? 101 : 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &retained; retained++; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { retained--; return 0; }
int cuCtxPushCurrent_v2(void *context) {
    if (context != &retained) return 201;
    pushed++; current++;
    return 0;
}
int cuCtxPopCurrent_v2(void **context) { *context = &retained; pushed--; current--; return 0; }
int cuStreamSynchronize(void *stream) { return result_of("cuStreamSynchronize", 1); }
int cuGetErrorString(int result, const char **words) {
    *words = result == 2 ? "out of memory" : result == 101 ? "invalid device ordinal" : "invalid context";
    return 0;
}
int cuModuleLoadData(void **module, const char *code) {
    int result = result_of("cuModuleLoadData", 1);
    if (!result && !(*module = dlopen(code, RTLD_NOW))) result = 200;
    loaded += !result;
    return result;
}
int cuModuleUnload(void *module) { loaded--; return result_of("cuModuleUnload", 1); }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    char launch[64];
    snprintf(launch, sizeof launch, "launch_%s", name);
    *function = dlsym(module, launch);
    return *function ? result_of("cuModuleGetFunction", 1) : 500;
}
int cuLaunchKernel(void *function, unsigned bx, unsigned by, unsigned bz, unsigned tx, unsigned ty,
                   unsigned tz, unsigned shared, void *stream, void **arguments, void **extra) {
    if (bz != 1 || tz != 1 || shared || extra) return 1;
    if (pushed == 1) ((Launch)function)((Place){bx, by}, (Place){tx, ty}, arguments[0]);
    return result_of("cuLaunchKernel", 1);
}
"""


@dataclass(frozen=True)
class HostCuda:
    """`driver`: the name of the driver's library. `kernels`: of those of the kernels, plain and deep."""

    driver: str
    kernels: tuple[str, str]

    def machine_code(self, capability: tuple[int, int], deep: bool) -> bytes:
        """What stands for `convert.machine_code`."""
        return self.kernels[deep].encode()

    def books(self) -> tuple[int, int, int]:
        """Contexts that were taken and not given back, contexts that are current, modules loaded."""
        number = ctypes.CDLL(self.driver).books()
        return number // 10000, number // 100 % 100, number % 100

    def fail(self, call: str, result: int) -> None:
        """Lets a call fail from now on; "" none."""
        ctypes.CDLL(self.driver).fail(call.encode(), result)


def build(folder: Path) -> HostCuda:
    """Compiles everything into `folder`; skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to run the kernels with")
    (folder / "yuv.cu").write_text(convert.source())
    (folder / "kernels.c").write_text(KERNELS)
    (folder / "driver.c").write_text(DRIVER)
    plain, deep, driver = (folder / f"lib{name}.so" for name in ("plain", "deep", "driver"))
    strict = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-unused-function"]
    for library, code, defines in (
        (plain, "kernels.c", ["-DDEEP=0", "-fsanitize=undefined", "-fno-sanitize-recover"]),
        (deep, "kernels.c", ["-DDEEP=1", "-fsanitize=undefined", "-fno-sanitize-recover"]),
        (driver, "driver.c", ["-ldl"]),
    ):
        subprocess.run([*strict, "-o", str(library), str(folder / code), *defines], check=True)
    return HostCuda(str(driver), (str(plain), str(deep)))
