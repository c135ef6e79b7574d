from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.ops._variant import Variant

Array = npt.NDArray[Any]

class Packed:
    kind: Variant
    names: frozenset[str]
    projected: bool
    def __init__(self, variant: Variant, arrays: dict[str, Array], training: bool, whole: bool = False) -> None: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def training(self) -> bool: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
