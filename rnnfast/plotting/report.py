"""What gates and states do, in numbers: saturation, dead units, and for how long the units remember."""

from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array

_GATES = ("i", "f", "o", "r", "z")


class GateReport(dict[str, dict[str, Any]]):
    """By layer and direction: "gates", "saturated", "dead" and "memory"; print it for a table."""

    def __str__(self) -> str:
        lines = []
        for level, found in self.items():
            lines.append(f"{level}: {found['units']} units, {found['steps']} steps")
            for gate, share in found["gates"].items():
                mean, closed, opened = share["mean"], share["closed"], share["open"]
                lines.append(f"  gate {gate}       mean {mean:.3f}, closed {closed:.1%}, open {opened:.1%}")
            lines.append(f"  saturated    {found['saturated']:.1%} of the states")
            dead = found["dead"]
            numbers = ", ".join(map(str, dead[:10])) + (", ..." if len(dead) > 10 else "")
            lines.append(f"  dead units   {len(dead)}" + (f": {numbers}" if len(dead) else ""))
            if found["memory"] is not None:
                low, middle, high = np.quantile(found["memory"], [0.1, 0.5, 0.9])
                lines.append(f"  memory       {middle:.3g} steps (a tenth below {low:.3g}, a tenth above {high:.3g})")
        return "\n".join(lines)


def gate_report(
    layer: Any, x: Any, *, lengths: Any = None, low: float = 0.05, high: float = 0.95, still: float = 1e-3
) -> GateReport:
    """Saturated gates, dead units and forget times of a recurrent layer on given input.

    Parameters
    ----------
    layer : recurrent layer
    x : array_like (B, T, I) or (T, I)
    lengths : array_like of int (B,), optional
        Steps beyond do not count.
    low, high : float
        A gate is closed below low and open above high; a state h is saturated where its size is above high.
    still : float
        A unit is dead when its state h moves less than that over all steps: from its lowest to its highest value.

    Returns
    -------
    GateReport
        A dict by layer and direction ("l0" ...) of dicts: "units" and "steps" (int); "gates", a dict by gate of "mean",
        "closed" and "open" (shares of all units and steps); "saturated", a share; "dead", an integer array of units;
        "memory" (H,), or None for a cell without gates: for how many steps each unit remembers, the time constant
        -1 / ln(k) of its mean keep k, the share of the old state that a step keeps: f of an LSTM (1 - i where they are
        coupled), z of a GRU (1 - z with update="new"), 1 - f of an MGU.

    Examples
    --------
    >>> import rnnfast as rf
    >>> report = gate_report(rf.GRU(2, 3, seed=0), np.zeros((1, 4, 2)))
    >>> report["l0"]["gates"]["z"]["mean"], report["l0"]["dead"].tolist(), report["l0"]["memory"].round(3).tolist()
    (0.5, [0, 1, 2], [1.443, 1.443, 1.443])
    """
    if not hasattr(layer, "gradient_norms"):
        raise TypeError(f"layer must be a recurrent layer, got {type(layer).__name__}")
    x = np.asarray(x)
    traced = layer.trace(x, lengths=lengths)
    steps = x.shape[:-1]
    counts = np.ones(steps, bool) if lengths is None else np.arange(steps[-1]) < np.asarray(lengths)[..., None]
    if not counts.any():
        raise ValueError("there are no steps to report of")
    report = GateReport()
    for level, arrays in traced.items():
        found = {name: arrays[name][counts].astype(np.float64) for name in (*_GATES, "h") if name in arrays}
        h = found.pop("h")
        memory = _keep(layer, found)
        report[level] = {
            "units": h.shape[1],
            "steps": len(h),
            "gates": {
                name: {
                    "mean": float(gate.mean()),
                    "closed": float((gate < low).mean()),
                    "open": float((gate > high).mean()),
                }
                for name, gate in found.items()
            },
            "saturated": float((np.abs(h) > high).mean()),
            "dead": np.flatnonzero(np.ptp(h, axis=0) < still),
            "memory": None if memory is None else _time_constant(memory.mean(axis=0)),
        }
    return report


def _keep(layer: Any, gates: dict[str, Array]) -> Array | None:
    """The share of the old state that each step keeps."""
    if layer.cell == "mgu":
        return 1 - gates["f"]
    if "z" in gates:
        return 1 - gates["z"] if layer.options.get("update") == "new" else gates["z"]
    if "f" in gates:
        return gates["f"]
    return 1 - gates["i"] if "i" in gates else None


def _time_constant(keep: Array) -> Array:
    """Steps after which a share 1/e is left: 0 where nothing is kept, infinite where all is."""
    with np.errstate(divide="ignore"):
        return 1 / np.abs(np.log(np.clip(keep, 0.0, 1.0)))
