"""llama.cpp as a library: loaded without its Python package's imports, its log in Python's.

`import llama_cpp` pulls in numpy, Jinja and a server (0.5 s); its low-level module
`llama_cpp.llama_cpp` is plain ctypes (0.08 s). It is loaded under an empty parent, which is
removed again, so that others may still import the real package.
"""

import atexit
import ctypes
import importlib
import importlib.util
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from types import FrameType, ModuleType
from typing import Any

from expert.errors import ResourceError

log = logging.getLogger("expert.llama")
log.addHandler(logging.NullHandler())  # silent unless someone asks for it

# ggml_log_level of ggml.h; CONT (5) continues the line before.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}
_ERROR = 4
_recent: deque[str] = deque(maxlen=8)
_lock = threading.Lock()


def load() -> Any:
    """Return the module of llama.cpp's C functions, loading and initialising it once.

    Raises:
        ResourceError: llama-cpp-python is missing or its library cannot be loaded here.
    """
    with _lock:
        return _load()


@cache
def _load() -> ModuleType:
    try:
        lib = _import_low_level()
    except (ImportError, OSError, RuntimeError, FileNotFoundError) as error:
        raise ResourceError(
            "llama.cpp cannot be loaded.",
            str(error),
            "Reinstall it: pip install --force-reinstall --no-cache-dir llama-cpp-python",
        ) from error
    callback = lib.llama_log_callback(_on_log)
    lib.llama_log_set(callback, None)
    lib.llama_backend_init()
    # The C library outlives the interpreter's modules, so it must not call back at exit.
    atexit.register(_silence, lib, callback)
    return lib


def _import_low_level() -> ModuleType:
    if "llama_cpp" in sys.modules:
        return importlib.import_module("llama_cpp.llama_cpp")
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("the package llama-cpp-python is not installed")
    parent = ModuleType("llama_cpp")
    parent.__path__ = list(spec.submodule_search_locations)
    sys.modules["llama_cpp"] = parent
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    finally:
        del sys.modules["llama_cpp"]


def _on_log(level: int, text: bytes | None, _user: object) -> None:
    # A change of adapters makes llama.cpp say 400 lines for its developers.
    if level != _ERROR and not log.isEnabledFor(_LEVELS.get(level, logging.DEBUG)):
        return
    line = (text or b"").decode("utf-8", "replace").rstrip()
    if not line or line.strip(".") == "":
        return
    if level == _ERROR:
        _recent.append(line)
    log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)


def is_calling_back(frame: FrameType | None) -> bool:
    """Tell whether *frame* runs for llama.cpp's log, where an exception would be lost."""
    while frame is not None:
        if frame.f_code is _on_log.__code__:
            return True
        frame = frame.f_back
    return False


def _silence(lib: ModuleType, _keep_alive: object) -> None:
    lib.llama_log_set(lib.llama_log_callback(), None)


def recent_errors() -> str:
    """Return what llama.cpp complained about last, and forget it."""
    text = "; ".join(_recent)
    _recent.clear()
    return text


def ggml_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a C function of the ggml libraries, which llama-cpp-python does not bind."""
    lib = load()
    try:
        # A lookup in libllama also searches the libraries it was linked with.
        function = getattr(lib._lib, name)
    except AttributeError:  # Windows searches the library alone
        function = getattr(ctypes.CDLL(str(lib._base_path / "ggml.dll")), name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]  # ctypes functions are Any


def build_info() -> str:
    """Return the instruction sets and back ends compiled in, as llama.cpp prints them."""
    return str(load().llama_print_system_info().decode())
