"""Optimizer steps: passes over the flat buffers of parameters and gradients, in place."""

import math

cimport numpy as cnp

from rnnfast.kernels cimport _passes_table as table
from rnnfast.kernels._passes cimport UPDATE, Pass, in_place, make_pass, run_pass, separate

cnp.import_array()

# By name: the number in the table, how many states, how many numbers.
_RULES = {
    "sgd": (table.RULE_SGD, 0, 1),
    "momentum": (table.RULE_MOMENTUM, 1, 2),
    "nesterov": (table.RULE_NESTEROV, 1, 2),
    "rmsprop": (table.RULE_RMSPROP, 1, 4),
    "rmsprop_momentum": (table.RULE_RMSPROP_MOMENTUM, 2, 5),
    "rmsprop_centered": (table.RULE_RMSPROP_CENTERED, 2, 4),
    "rmsprop_centered_momentum": (table.RULE_RMSPROP_CENTERED_MOMENTUM, 3, 5),
    "adagrad": (table.RULE_ADAGRAD, 1, 2),
    "adadelta": (table.RULE_ADADELTA, 2, 4),
    "adam": (table.RULE_ADAM, 2, 6),
    "amsgrad": (table.RULE_AMSGRAD, 3, 6),
    "nadam": (table.RULE_NADAM, 2, 7),
    "adamax": (table.RULE_ADAMAX, 2, 4),
    "lion": (table.RULE_LION, 1, 5),
    "rprop": (table.RULE_RPROP, 2, 4),
    "asgd": (table.RULE_ASGD, 1, 2),
    "average": (table.RULE_AVERAGE, 0, 1),
}


def update(str rule not None, params, grads, states=(), numbers=(), *, double scale=1.0, double clip_value=math.inf,
           double decay=0.0, double shrink=1.0):
    """One step of an optimizer, in place: each element of `params` by its gradient, its states and the step's numbers.

    With p a parameter and g its gradient: g = clip(scale g, -clip_value, clip_value) + decay p; p = shrink p; then the
    rule. Every element stands alone, so that neither threads nor the instruction set change a bit.

    Parameters
    ----------
    rule : str
        Below, n are the numbers and a, b, c the states; r(x) is the square root.

        - "sgd": p -= n0 g
        - "momentum": a = n1 a + g; p -= n0 a
        - "nesterov": a = n1 a + g; p -= n0 (g + n1 a)
        - "rmsprop": a = n1 a + n2 g²; p -= n0 g / (r(a) + n3). "rmsprop_centered": b += n2 (g - b) beside, and a - b²
          in the root. Each with "_momentum" at the end: the last state s = n4 s + g / (r(...) + n3); p -= n0 s
        - "adagrad": a += g²; p -= n0 g / (r(a) + n1)
        - "adadelta": a = n1 a + n2 g²; d = g r(b + n3) / r(a + n3); b = n1 b + n2 d²; p -= n0 d
        - "adam": a += n1 (g - a); b = n2 b + n3 g²; p -= n0 a / (n4 r(b) + n5). "amsgrad": c = max(b, c) in the root.
          "nadam": p -= (n0 a + n6 g) / (n4 r(b) + n5)
        - "adamax": a += n1 (g - a); b = max(n2 b, |g| + n3); p -= n0 a / b
        - "lion": p -= n0 sign(n1 a + n2 g); a = n3 a + n4 g
        - "rprop": b times n1 where the gradient's sign is that of a, n0 where it turned (then g = 0), within n2 and n3;
          a = g; p -= b sign(g)
        - "asgd": p -= n0 g; a += n1 (p - a)
        - "average": p += n0 (g - p)
    params, grads : (n,) contiguous arrays of one dtype, float32 or float64
    states : sequence of (n,) arrays of that dtype
        The optimizer's memory, as many as the rule has.
    numbers : sequence of float
    scale, clip_value, decay, shrink : float

    Raises
    ------
    TypeError, ValueError
        The rule is unknown, wants other states or numbers; shapes or dtypes differ; an array is read-only, not
        contiguous or overlaps another.

    Examples
    --------
    >>> import numpy as np
    >>> params = np.ones(3)
    >>> update("sgd", params, np.array([1.0, 2.0, -4.0]), numbers=[0.5], clip_value=2)
    >>> params
    array([0.5, 0. , 2. ])
    """
    if rule not in _RULES:
        raise ValueError(f"rule must be one of {', '.join(_RULES)}, got {rule!r}")
    which, state_count, number_count = _RULES[rule]
    if len(states) != state_count:
        raise ValueError(f"rule {rule!r} wants {state_count} states, got {len(states)}")
    if len(numbers) != number_count:
        raise ValueError(f"rule {rule!r} wants {number_count} numbers, got {len(numbers)}")
    cdef cnp.ndarray to = in_place("params", params)
    cdef cnp.ndarray source = in_place("grads", grads, to, written=False)
    cdef cnp.ndarray memory
    cdef table.update_options options
    cdef Pass p = make_pass(UPDATE, to.itemsize, to.size)
    cdef int i
    arrays = {"params": to, "grads": source}
    for i, state in enumerate(states):
        memory = arrays[f"states[{i}]"] = in_place(f"states[{i}]", state, to)
        p.states[i] = cnp.PyArray_DATA(memory)
    separate(arrays)
    for i in range(table.UPDATE_NUMBERS):
        options.numbers[i] = numbers[i] if i < len(numbers) else 0.0
    options.scale, options.clip_value, options.decay, options.shrink = scale, clip_value, decay, shrink
    p.to = <char *>cnp.PyArray_DATA(to)
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.rule = p.table.updates[<int>which]
    p.update = &options
    run_pass(&p)
