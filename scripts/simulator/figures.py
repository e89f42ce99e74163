"""Figures out of lists of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

Figures = dict[str, float | int | str]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not pass; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def mean(values: Sequence[float]) -> float:
    """NaN of nothing."""
    return sum(values) / len(values) if values else math.nan


def rounded(figures: Figures) -> Figures:
    """The same with four decimals, which is more than any of them means; NaN becomes -1, for JSON has none."""
    return {name: _round(value) for name, value in figures.items()}


def _round(value: float | int | str) -> float | int | str:
    if not isinstance(value, float):
        return value
    return -1.0 if math.isnan(value) else round(value, 4)
