"""Answers that are prose: shared words, and n-grams as machine translation counts them."""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

Share = tuple[float, tuple[float, float]]
"""A figure, 0 to 1, with its 95 % interval."""
RESAMPLES = 100
MARKS = str.maketrans("", "", string.punctuation)


def words(text: str) -> list[str]:
    """Return lower-case words without punctuation and articles."""
    return re.sub(r"\b(?:a|an|the)\b", " ", text.lower().translate(MARKS)).split()


def token_f1(answer: str, reference: str) -> float:
    """Return the F1 of shared words. Source: Rajpurkar et al. 2016, SQuAD."""
    found, wanted = Counter(words(answer)), Counter(words(reference))
    if not found or not wanted:
        return float(found == wanted)
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def chrf(answer: str, reference: str) -> float:
    """Return one sentence's chrF. Source: Popović 2015, as sacrebleu computes it."""
    return float(_metrics()[1].sentence_score(answer, [reference]).score) / 100


def corpus(answers: Sequence[str], references: Sequence[str]) -> dict[str, Share]:
    """Return BLEU and chrF of a whole test set, by sacrebleu, with bootstrap intervals.

    Sources: Papineni et al. 2002; Popović 2015; Post 2018 (sacrebleu); Koehn 2004 (intervals).
    """
    pairs = list(zip(answers, references, strict=True))
    rng = random.Random(0)
    drawn = [rng.choices(pairs, k=len(pairs)) for _ in range(RESAMPLES)]
    found = {}
    for name, metric in zip(("corpus BLEU", "corpus chrF"), _metrics(), strict=True):
        scores = sorted(_score(metric, some) for some in drawn)
        bounds = scores[round(0.025 * RESAMPLES)], scores[round(0.975 * RESAMPLES) - 1]
        found[name] = (_score(metric, pairs), bounds)
    return found


def _score(metric: Any, pairs: Sequence[tuple[str, str]]) -> float:
    answers, references = zip(*pairs, strict=True)
    return float(metric.corpus_score(list(answers), [list(references)]).score) / 100


@cache
def _metrics() -> tuple[Any, Any]:
    """Return sacrebleu's metrics, which take a second to import."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(), CHRF()
