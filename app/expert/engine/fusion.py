"""Several experts as one: sets are concatenated in the background and kept by content and scale.

Attached separately, n adapters cost n times their small operations on every token, and llama.cpp
adds them in the order of their addresses. One fused adapter costs about as much as one expert and
always gives the same bits.
"""

import hashlib
import logging
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import AdapterSet
from expert.errors import ExpertError
from expert.paths import user_paths
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile

log = logging.getLogger("expert.engine")

_KEPT_BYTES = 1 << 30  # of fused adapters on disk; the oldest go first


class Fusion:
    """Fused adapters of one base, made when several experts are first used together."""

    def __init__(self, base: GGUFFile) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._made: dict[AdapterSet, Future[AdapterFile | None]] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="expert-fuse")

    def request(self, adapters: AdapterSet) -> None:
        """Begin to fuse a set's LoRAs in the background, if there are several."""
        self._start(adapters)

    def ready(self, adapters: AdapterSet) -> AdapterFile | None:
        """Return the fused form of a set's LoRAs if it is there by now."""
        made = self._made.get(adapters.loras)
        return made.result() if made and made.done() else None

    def wait(self, adapters: AdapterSet) -> AdapterFile | None:
        """Return the fused form of a set's LoRAs, waiting for it; None if they cannot be fused."""
        made = self._start(adapters)
        return made.result() if made else None

    def _start(self, adapters: AdapterSet) -> "Future[AdapterFile | None] | None":
        loras = adapters.loras
        if len(loras.parts) < 2:
            return None
        with self._lock:
            if loras not in self._made:
                self._made[loras] = self._worker.submit(self._make, loras)
            return self._made[loras]

    def _make(self, adapters: AdapterSet) -> AdapterFile | None:
        """Fuse a set, or find it on disk; a set that cannot be fused stays attached separately."""
        from expert_converters.fuse import FuseJob, fuse  # with numpy, 0.1 s that few answers need

        key = hashlib.sha256(repr(adapters.key).encode()).hexdigest()[:32]
        path = user_paths().cache / "fused" / f"{key}.gguf"
        try:
            if not path.is_file():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make_room(path.parent)
                parts = [(file.path, scale) for file, scale in adapters.parts]
                digests = [file.digest for file, _ in adapters.parts]
                fuse(FuseJob(parts, path, mixed="q8_0", digests=digests))
            os.utime(path)
            return read_adapter(path, self._base)
        except (ExpertError, ConversionError, OSError) as error:
            log.info("the experts stay attached one by one: %s", error)
            return None

    def close(self) -> None:
        """Wait for what is being fused."""
        self._worker.shutdown(cancel_futures=True)


def _make_room(folder: Path) -> None:
    files = sorted(folder.glob("*.gguf"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > _KEPT_BYTES:
            file.unlink(missing_ok=True)
