"""Optimizer steps: passes over the flat buffers of parameters and gradients, in place."""

import operator

cimport numpy as cnp

from rnnfast.kernels._passes cimport ADAM, SGD, Pass, in_place, make_pass, run_pass, separate
from rnnfast.kernels._passes_table cimport adam_options, sgd_options

cnp.import_array()


def sgd_step(params, grads, velocity, *, double learning_rate, double momentum=0.0, double weight_decay=0.0,
             double scale=1.0, bint nesterov=False):
    """One step of stochastic gradient descent, in place, as torch.optim.SGD.

    g = scale grads + weight_decay params; v = momentum v + g; params -= learning_rate v, or with Nesterov's momentum
    params -= learning_rate (g + momentum v).

    Parameters
    ----------
    params, grads : (n,) contiguous arrays of one dtype, float32 or float64
    velocity : (n,) array of that dtype, or None
        The momentum's memory, zeros before the first step. None leaves momentum out, which must then be 0.
    learning_rate, momentum, weight_decay : float
    scale : float
        Multiplies the gradients before all else, as clipping by the norm does.
    nesterov : bool

    Raises
    ------
    TypeError, ValueError
        Shapes or dtypes differ, an array is read-only, not contiguous or overlaps another, or momentum has no velocity.
    """
    cdef cnp.ndarray to = in_place("params", params)
    cdef cnp.ndarray source = in_place("grads", grads, to, written=False)
    cdef cnp.ndarray memory
    cdef Pass p = make_pass(SGD, to.itemsize, to.size)
    arrays = {"params": to, "grads": source}
    if velocity is not None:
        memory = arrays["velocity"] = in_place("velocity", velocity, to)
        p.first_state = <char *>cnp.PyArray_DATA(memory)
    elif momentum != 0:
        raise ValueError(f"velocity must be an array where momentum is not 0, got None with momentum {momentum}")
    separate(arrays)
    cdef sgd_options options
    options.learning_rate, options.momentum, options.weight_decay = learning_rate, momentum, weight_decay
    options.scale, options.nesterov = scale, nesterov
    p.to = <char *>cnp.PyArray_DATA(to)
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.sgd = &options
    run_pass(&p)


def adam_step(params, grads, m, v, *, double learning_rate, double beta1=0.9, double beta2=0.999,
              double epsilon=1e-8, double weight_decay=0.0, step, double scale=1.0, bint decoupled=False):
    """One step of Adam (Kingma and Ba 2015, algorithm 1), in place, as torch.optim.Adam, or AdamW where decoupled.

    Parameters
    ----------
    params, grads : (n,) contiguous arrays of one dtype, float32 or float64
    m, v : (n,) arrays of that dtype
        Running means of the gradient and of its square, zeros before the first step.
    learning_rate, beta1, beta2, epsilon, weight_decay : float
    step : int
        1 at the first step.
    scale : float
        Multiplies the gradients before all else, as clipping by the norm does.
    decoupled : bool
        Weight decay shrinks the parameters (Loshchilov and Hutter 2019) and does not enter the gradient.

    Raises
    ------
    TypeError, ValueError
        Shapes or dtypes differ, an array is read-only, not contiguous or overlaps another, step is below 1, or a beta
        is outside [0, 1).
    """
    cdef cnp.ndarray to = in_place("params", params)
    cdef cnp.ndarray source = in_place("grads", grads, to, written=False)
    cdef cnp.ndarray mean = in_place("m", m, to), square = in_place("v", v, to)
    separate({"params": to, "grads": source, "m": mean, "v": square})
    number = operator.index(step)
    if number < 1:
        raise ValueError(f"step must be 1 or more, got {number}")
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        if not 0 <= beta < 1:
            raise ValueError(f"{name} must be 0 or more and below 1, got {beta}")
    cdef adam_options options
    options.learning_rate, options.beta1, options.beta2, options.epsilon = learning_rate, beta1, beta2, epsilon
    options.weight_decay, options.scale, options.decoupled = weight_decay, scale, decoupled
    options.correction1, options.correction2 = 1 - beta1**number, 1 - beta2**number
    cdef Pass p = make_pass(ADAM, to.itemsize, to.size)
    p.to = <char *>cnp.PyArray_DATA(to)
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.first_state = <char *>cnp.PyArray_DATA(mean)
    p.second_state = <char *>cnp.PyArray_DATA(square)
    p.adam = &options
    run_pass(&p)
