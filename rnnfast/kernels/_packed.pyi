from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

class Packed:
    kind: tuple[str, str, bool]
    bias: bool
    bias_hn: bool
    def __init__(
        self,
        cell: str,
        variant: str,
        weight_ih: Array,
        weight_hh: Array,
        bias: Array | None,
        bias_hn: Array | None,
        new_update: bool,
        training: bool,
    ) -> None: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def training(self) -> bool: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
