import numpy as np
import numpy.typing as npt

from rnnfast.kernels._plan import Call

Array = npt.NDArray[np.floating]
Slots = dict[tuple[int, int], Array]

def read(call: Call) -> tuple[Slots, Slots, Array, Array | None]: ...
