"""A base model on its way into memory, begun before the rest of the program is imported."""

import threading
import time
from pathlib import Path

from expert.closing import Closing
from expert.config import Config
from expert.engine.model import Model
from expert.engine.options import LoadOptions
from expert.errors import TimeLimitError, UsageError
from expert.models import find_model


class Loading(Closing):
    """One base model, which loads at once in a thread of its own."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.seconds = 0.0
        """How long loading took."""
        self._config = config
        self._model: Model | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._load, name="expert-load", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        start = time.perf_counter()
        try:
            self._model = Model(self.path, LoadOptions(gpu_layers=self._config.gpu_layers))
        except BaseException as error:  # handed to whoever asks
            self._failure = error
        self.seconds = time.perf_counter() - start

    def wait(self, seconds: float | None) -> None:
        """Wait until the model is loaded, at most so long.

        Raises:
            TimeLimitError: it takes longer.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeLimitError(
                "The time limit ran out while the model was loading.",
                f"{self.path.name} is not in memory yet.",
                "Allow more time (--timeout), or choose a smaller model.",
            )

    @property
    def model(self) -> Model:
        """The loaded model; waits for it.

        Raises:
            ExpertError: whatever kept it from loading.
            UsageError: it was closed.
        """
        self._thread.join()
        if self._failure:
            raise self._failure
        if self._model is None:
            raise UsageError("The model is closed.", "", "Load it again.")
        return self._model

    def close(self) -> None:
        """Free the weights, once they are there."""
        self._thread.join()
        model, self._model = self._model, None
        if model:
            model.close()


def begin_loading(config: Config) -> Loading:
    """Begin to load the base model of the settings.

    Raises:
        NotFoundError: there is no such model.
    """
    return Loading(find_model(config.model).path, config)
