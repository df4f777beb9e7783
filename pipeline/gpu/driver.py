"""The few calls of the CUDA driver that kernels need, by ctypes: the same for each of the device packages.

They work in the device's primary context, which those packages and FFmpeg use as well.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from derain.engines.errors import DerainError

NAMES = ("libcuda.so.1", "nvcuda.dll")


class Driver:
    """The driver's library and the primary context of device number `index`. Closing gives the context back,
    unless it was lent.

    Safe to use from any thread, as the driver is. Raises DerainError where a call fails.
    """

    def __init__(self, index: int = 0, names: Sequence[str] = NAMES) -> None:
        self.index = index
        self._cuda = _library(names)
        self._open = False
        self._call("cuInit", 0)
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), index)
        self._context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self._open, self._lent = True, False

    def lend(self) -> None:
        """Keeps the context until the process ends: somebody has it who may let go of it later."""
        self._lent = True

    def load(self, code: bytes) -> "Module":
        """Brings machine code to the device."""
        module = ctypes.c_void_p()
        with self.current():
            self._call("cuModuleLoadData", ctypes.byref(module), code)
        return Module(self, module)

    def function(self, module: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        """A kernel of a module."""
        found = ctypes.c_void_p()
        with self.current():
            self._call("cuModuleGetFunction", ctypes.byref(found), module, name.encode())
        return found

    def launch(
        self,
        function: ctypes.c_void_p,
        blocks: tuple[int, int],
        threads: tuple[int, int],
        stream: int,
        argument: ctypes.Structure,
    ) -> None:
        """Puts a kernel of one argument into a stream; returns at once, the argument is copied."""
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        with self.current():
            self._call(
                "cuLaunchKernel",
                function,
                *(*blocks, 1, *threads, 1, 0),
                ctypes.c_void_p(stream),
                arguments,
                None,
            )

    def unload(self, module: ctypes.c_void_p) -> None:
        """Frees a module."""
        with self.current():
            self._call("cuModuleUnload", module)

    def wait_for_default_stream(self) -> None:
        """Waits for the work in the default stream, where FFmpeg's decoder puts its own."""
        with self.current():
            self._call("cuStreamSynchronize", ctypes.c_void_p(0))

    @contextmanager
    def current(self) -> Iterator[None]:
        """The primary context is the calling thread's."""
        if not self._open:
            raise DerainError("the card's driver was given back already; open it again")
        self._call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def close(self) -> None:
        """Gives the context back; a second call does nothing."""
        if self._open:
            self._open = False
            if not self._lent:
                self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, name: str, *arguments: object) -> None:
        result = getattr(self._cuda, name)(*arguments)
        if result:
            words = ctypes.c_char_p()
            self._cuda.cuGetErrorString(result, ctypes.byref(words))
            told = (words.value or b"unknown error").decode()
            raise DerainError(f"the CUDA driver failed in {name}: {told} ({result})")


class Module:
    """Kernels on the device; closing frees them, once."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self._driver, self._handle, self._open = driver, handle, True

    def function(self, name: str) -> ctypes.c_void_p:
        """The kernel called `name`."""
        return self._driver.function(self._handle, name)

    def close(self) -> None:
        """Frees the kernels; a second call does nothing."""
        if self._open:
            self._open = False
            self._driver.unload(self._handle)


def _library(names: Sequence[str]) -> ctypes.CDLL:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise DerainError("there is no NVIDIA driver here (its library libcuda is not found)")
