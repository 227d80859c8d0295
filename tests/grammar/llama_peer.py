"""llama.cpp's own grammar sampler as the peer, in a process of its own because it can die.

Run as a script it answers one JSON line for each JSON line of grammar and token lists: null for
a grammar that llama.cpp refuses, else for each list whether it is a whole answer.
"""

import ctypes
import json
import math
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SECONDS = 3.0


class LlamaGrammars:
    """A running peer process, started again whenever llama.cpp has killed or hung it."""

    def __init__(self, model: Path) -> None:
        self._command = [sys.executable, __file__, str(model)]
        self._process: subprocess.Popen[str] | None = None

    def verdicts(self, grammar: str, texts: Sequence[Sequence[int]]) -> list[bool] | None:
        """Return whether each token list is a whole answer; None if the grammar is refused.

        Raises:
            ChildProcessError: llama.cpp crashed or hung on it.
        """
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([grammar, [list(text) for text in texts]]) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], _SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            raise ChildProcessError("llama.cpp died or hung on a grammar")
        answer: list[bool] | None = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            with self._process:
                self._process = None


def _serve(model: str) -> None:
    from expert.engine import library
    from grammar.vocabularies import load_vocabulary

    lib, vocab = library.load(), load_vocabulary(Path(model))
    for line in sys.stdin:
        grammar, texts = json.loads(line)
        sampler = lib._lib.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
        verdicts = [_whole(lib, vocab, sampler, text) for text in texts] if sampler else None
        print(json.dumps(verdicts), flush=True)


def _whole(lib: Any, vocab: Any, original: Any, tokens: Sequence[int]) -> bool:
    sampler = lib.llama_sampler_clone(original)
    try:
        for token in tokens:
            if not _allows(lib, sampler, token):
                return False
            lib.llama_sampler_accept(sampler, token)
        return _allows(lib, sampler, lib.llama_vocab_eos(vocab))
    finally:
        lib.llama_sampler_free(sampler)


def _allows(lib: Any, sampler: Any, token: int) -> bool:
    candidate = (lib.llama_token_data * 1)(lib.llama_token_data(token, 0.0, 0.0))
    array = lib.llama_token_data_array(data=candidate, size=1, selected=-1, sorted=False)
    lib.llama_sampler_apply(sampler, ctypes.byref(array))
    return not math.isinf(candidate[0].logit)


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path[:0] = [str(root / "tests"), str(root / "app"), str(root / "converters")]
    _serve(sys.argv[1])
