from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rnnfast.kernels._linear import PackedMatrix

Array = npt.NDArray[Any]

class Loop:
    stages: tuple[Any, ...]
    reader: Any
    mixed: Array | None
    def __init__(
        self,
        stages: Sequence[Any],
        reader: Any,
        *,
        lengths: Array | None,
        early: bool,
        feed: int,
        combine: PackedMatrix | None,
        mixed: Array | None,
        draws: bool,
    ) -> None: ...
    def forward(self, initial: Sequence[Any], final: Sequence[Any], sources: Array | None = None) -> None: ...
    def backward(
        self,
        *,
        d_both: Array,
        d_mixed: Array | None,
        d_x: Sequence[Array],
        d_initial: Sequence[tuple[Array, ...]],
        d_scores: Array | None,
        d_projected: Array | None,
        d_keys: Array | None,
        d_weight: Array | None,
        d_along: Array | None,
        d_weights: Array | None,
        d_coverage: Array | None,
        combine_back: PackedMatrix | None,
        query_back: PackedMatrix | None,
    ) -> list[dict[str, Array]]: ...
