"""Operators of older opsets, which the onnx package's reference lacks or computes by their newer meaning."""

from typing import Any

import numpy as np
from onnx.defs import get_schema
from onnx.reference.op_run import OpRun

Array = np.ndarray


class _OverTheRest(OpRun):
    """Before opset 13, all axes from `axis` on were one."""

    op_domain = ""

    def _run(self, x: Array, axis: int = 1) -> tuple[Array]:
        if not -x.ndim <= axis <= x.ndim:
            raise ValueError(f"{type(self).__name__}: axis={axis} of an array with {x.ndim} axes")
        rows = int(np.prod(x.shape[: axis if axis >= 0 else axis + x.ndim]))
        if not x.size:
            return (x,)
        return (self._of_rows(x.reshape(rows, -1)).reshape(x.shape).astype(x.dtype, copy=False),)

    def _of_rows(self, rows: Array) -> Array:
        raise NotImplementedError


class Softmax(_OverTheRest):
    """exp(x) over its sum."""

    op_schema = get_schema("Softmax", 11, "")

    def _of_rows(self, rows: Array) -> Array:
        found = np.exp(rows - rows.max(axis=1, keepdims=True))
        return found / found.sum(axis=1, keepdims=True)


class LogSoftmax(_OverTheRest):
    """The logarithm of that."""

    op_schema = get_schema("LogSoftmax", 11, "")

    def _of_rows(self, rows: Array) -> Array:
        found = rows - rows.max(axis=1, keepdims=True)
        return found - np.log(np.exp(found).sum(axis=1, keepdims=True))


class Hardmax(_OverTheRest):
    """1 for the first greatest, 0 for others."""

    op_schema = get_schema("Hardmax", 11, "")

    def _of_rows(self, rows: Array) -> Array:
        return np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, None]


class DequantizeLinear(OpRun):
    """(x - zero point) scale, with one of both or one for each place along `axis`."""

    op_domain = ""
    op_schema = get_schema("DequantizeLinear", 13, "")

    def _run(self, x: Array, scale: Array, zero_point: Array | None = None, axis: int = 1) -> tuple[Array]:
        def along(value: Array) -> Array:
            if value.size == 1:
                return value.reshape(())
            place = int(axis)
            if value.ndim != 1 or not -x.ndim <= place < x.ndim or value.size != x.shape[place]:
                raise ValueError(f"DequantizeLinear: values of shape {value.shape} along axis {place} of {x.shape}")
            return value.reshape([-1 if i == place % x.ndim else 1 for i in range(x.ndim)])

        # 64 bits hold the difference of any two of 32; float32 holds it exactly where x has 8.
        offset = np.int64(0) if zero_point is None else along(zero_point).astype(np.int64)
        return (((x.astype(np.int64) - offset).astype(np.float32) * along(scale)).astype(np.float32),)


_AGES: dict[str, tuple[int, Any]] = {
    "DequantizeLinear": (19, DequantizeLinear),
    "Softmax": (13, Softmax),
    "LogSoftmax": (13, LogSoftmax),
    "Hardmax": (13, Hardmax),
}


def older(operator: str, opset: int) -> Any:
    """The operator of ONNX's own domain as that opset has it, where the reference has not; else None."""
    until, found = _AGES.get(operator, (0, None))
    return found if opset < until else None
