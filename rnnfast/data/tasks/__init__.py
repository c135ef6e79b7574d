"""Made tasks: data of any size, with known answers, to try and to teach networks with.

Each takes the number of examples first and a seed (or NumPy Generator) last; the same seed gives the same arrays.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.data.tasks.memory": ["adding", "copy_memory", "parity", "reversal"],
    "rnnfast.data.tasks.languages": ["a_n_b_n", "a_n_b_n_c_n", "dyck"],
    "rnnfast.data.tasks.signals": ["mackey_glass", "sine"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
