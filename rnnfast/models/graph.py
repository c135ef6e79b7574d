"""Layers joined into a graph: several inputs, several outputs, values used more than once."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import Last, _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Layer, draw_key
from rnnfast.layers._many import ManyInputs
from rnnfast.layers._summary import Part
from rnnfast.models import _nodes
from rnnfast.models._network import Network
from rnnfast.models._nodes import Array, Node, Shape


class Graph(Network):
    """A network of several inputs and outputs: layers take, by name, what goes in and what other layers give.

    Say what goes in, `add` the layers, each after those that it takes from, and say last what comes out.

    Parameters
    ----------
    inputs : mapping of str to shape
        The shape of each input: numbers, and letters for sizes that only a call knows. Equal letters are equal sizes.
        The first axis is the batch; where the second is a letter, it is time.

    Attributes
    ----------
    inputs : dict of str to shape
    nodes : list of Node
        Each with its name, its layer, and the names of what it takes.
    params, grads : mapping of str to numpy.ndarray
        Named `"{node}.{name}"`, as in `"encoder.weight_ih_l0"`.

    Notes
    -----
    All parameters lie end to end in one flat buffer, as those of a `Sequential`. A graph takes no state from outside:
    each call starts from zeros, or from the state of another node. A graph of one input and one output is a layer as
    any other.

    Examples
    --------
    A sequence of words and, step by step, three numbers; what comes out is a class a sequence and a number a step.

    >>> import rnnfast as rf
    >>> graph = Graph({"words": ("B", "T"), "speed": ("B", "T", 3)})
    >>> words = graph.add(rf.Embedding(100, 5), "words")
    >>> both = graph.add(rf.Concatenate(), [words, "speed"])
    >>> steps = graph.add(rf.GRU(8, 16), both)
    >>> last = graph.add(rf.Last(), steps)
    >>> graph.outputs(topic=graph.add(rf.Linear(16, 4), last), price=graph.add(rf.Linear(16, 1), steps))
    >>> found = graph({"words": [[3, 1, 4]], "speed": np.ones((1, 3, 3))})
    >>> found["topic"].shape, found["price"].shape
    ((1, 4), (1, 3, 1))

    An encoder and a decoder that starts from its state and looks at its outputs:

    >>> graph = Graph({"source": ("B", "S"), "target": ("B", "T")})
    >>> words = rf.Embedding(100, 8)
    >>> encoder = graph.add(rf.LSTM(8, 16), graph.add(words, "source"), name="encoder")
    >>> decoder = graph.add(rf.LSTM(8, 16), graph.add(words, "target"), state=encoder)
    >>> context = graph.add(rf.Attention(16), [decoder, encoder], name="attention")
    >>> scores = graph.add(rf.Linear(32, 100), graph.add(rf.Concatenate(), [decoder, context]))
    >>> graph.outputs(scores=scores, weights="attention.weights")
    >>> found = graph({"source": [[3, 1, 4]], "target": [[5, 9]]}, lengths={"source": [2]})
    >>> found["scores"].shape, found["weights"].shape
    ((1, 2, 100), (1, 2, 3))
    """

    works_on_steps = False

    def __init__(self, inputs: Mapping[str, Sequence[Axis]]):
        if not isinstance(inputs, Mapping) or not inputs:
            raise TypeError(f"inputs must be a mapping from names to shapes, got {inputs!r:.60}")
        self.inputs: dict[str, Shape] = {}
        self.nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {}
        self._directions: dict[str, int | None] = {}
        self._outputs: str | dict[str, str] | None = None
        for name, shape in inputs.items():
            self._check_name(name)
            if isinstance(shape, str) or not all(isinstance(a, str) or (type(a) is int and a >= 0) for a in shape):
                raise ValueError(f"the shape of input {name!r} must hold numbers and letters, got {shape!r:.60}")
            if not shape:
                raise ValueError(f"the shape of input {name!r} must have at least one axis, the batch")
            self.inputs[name] = self._shapes[name] = tuple(shape)
            self._directions[name] = None

    def _check_name(self, name: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"a name must be a str without dots, got {name!r:.60}")
        if name in self._shapes:
            raise ValueError(f"there is a {name!r} already")

    def add(self, layer: Layer, inputs: str | Sequence[str], *, name: str | None = None, state: Any = None) -> str:
        """Put a layer behind what it takes.

        Parameters
        ----------
        layer : Layer
            A layer or a model of one input and one output; `Concatenate`, `Add`, `Multiply`, `Average` and `Attention`
            (query, keys and perhaps values) take several. The same layer added twice is one layer used twice: its
            parameters count once, under its first name.
        inputs : str or sequence of str
            Names of inputs or of what other layers give. Attention gives its weights too, as `"{name}.weights"`.
        name : str, optional
            None takes the layer's class, with a number where that is taken.
        state : str, optional
            The name of a recurrent layer, whose final state this recurrent layer starts from. None starts from zeros.

        Returns
        -------
        str
            The name of what the layer gives.

        Raises
        ------
        ValueError, TypeError
            When a name is unknown or taken, or sizes do not fit; the graph is left as it was.
        """
        if self._outputs is not None:
            raise RuntimeError("the graph has its outputs: no more layers can be added")
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be a Layer, got {type(layer).__name__}")
        if name is None:
            name = self._free_name(layer)
        self._check_name(name)
        sources = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        for source in sources:
            self._check_known(source, self._shapes, "value")
        if state is not None:
            stateful = {node.name: node for node in self.nodes if node.layer.has_state}
            if not layer.has_state:
                raise ValueError(f"state: {type(layer).__name__} has no state to start from")
            self._check_known(state, stateful, "recurrent layer")
        if isinstance(layer, Graph) and (len(layer.inputs) > 1 or not isinstance(layer._outputs, str)):
            raise ValueError(f"{name!r}: a graph inside a graph must have one input and one output")
        node = Node(name, layer, sources, state)
        shapes = _nodes.shapes_of(node, self._shapes)
        self._directions[name] = self._learn_directions(node)
        self._directions.update(dict.fromkeys(node.values[1:], 1))
        self._shapes.update(shapes)
        self.nodes.append(node)
        return name

    def _free_name(self, layer: Layer) -> str:
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
        names = [plain, *(f"{plain}_{i}" for i in range(2, len(self._shapes) + 3))]
        return next(name for name in names if name not in self._shapes)

    @staticmethod
    def _check_known(name: Any, known: Mapping[str, Any], what: str) -> None:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"there is no {what} {name!r:.60}; there are {', '.join(known) or 'none'}")

    def _learn_directions(self, node: Node) -> int | None:
        layer, before = node.layer, [self._directions[source] for source in node.inputs]
        if isinstance(layer, ManyInputs):
            return layer.directions_of_many(before)
        if before[0] == 0:
            if isinstance(layer, Last) and layer.directions is None:
                raise ValueError(
                    f"{node.name!r}: in {node.inputs[0]!r} forward and reverse directions are mixed, of which nothing "
                    "can take the last steps; take the Last of each before they are joined"
                )
        else:
            layer.learn_directions(before[0])
        return before[0] if layer.num_directions is None else layer.num_directions

    def outputs(self, single: str | None = None, /, **named: str) -> None:
        """Say what comes out; the graph is complete then.

        Parameters
        ----------
        single : str
            The name of what a layer gives: calls then return one array.
        **named : str
            Or several, each under a name of its own: calls then return a dict.

        Raises
        ------
        ValueError
            When a name is unknown, or an input or layer leads to no output.
        """
        if self._outputs is not None:
            raise RuntimeError("the graph has its outputs already")
        if (single is None) == (not named):
            raise TypeError("outputs takes either one name, or several by keyword")
        wanted = {"": single} if single is not None else named
        values = {value: node for node in self.nodes for value in node.values}
        for value in wanted.values():
            self._check_known(value, values, "layer")
        leading = {str(value).partition(".")[0] for value in wanted.values()}
        for node in reversed(self.nodes):
            if node.name in leading:
                leading.update(source.partition(".")[0] for source in (*node.inputs, node.state or node.name))
        for name in (*self.inputs, *(node.name for node in self.nodes)):
            if name not in leading:
                raise ValueError(f"{name!r} leads to no output")
        self._lay_out()
        self._outputs = single if single is not None else dict(named)

    def _children(self) -> list[tuple[str, Layer]]:
        return [(node.name, node.layer) for node in self.nodes]

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """Inputs, nodes and outputs."""
        nodes = [{**node._asdict(), "inputs": list(node.inputs), "layer": describe(node.layer)} for node in self.nodes]
        inputs = {name: list(shape) for name, shape in self.inputs.items()}
        return {"inputs": inputs, "nodes": nodes, "outputs": self._outputs}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Graph":
        """The model of such a plan."""
        inputs, nodes, outputs = (config.get(key) for key in ("inputs", "nodes", "outputs"))
        if len(config) != 3 or not isinstance(inputs, dict) or not isinstance(nodes, list):
            raise ValueError("the config of a Graph must be its inputs, nodes and outputs")
        if not all(isinstance(shape, list) for shape in inputs.values()):
            raise ValueError("the inputs of a Graph must have shapes")
        graph = cls(inputs)
        for node in nodes:
            if not isinstance(node, dict) or set(node) != set(Node._fields) or not isinstance(node["inputs"], list):
                raise ValueError("a node of a Graph must have a name, a layer, inputs and a state")
            graph.add(rebuild(node["layer"]), node["inputs"], name=str(node["name"]), state=node["state"])
        if isinstance(outputs, dict):
            graph.outputs(**outputs)
        elif outputs is not None:
            graph.outputs(outputs)
        return graph

    def __repr__(self) -> str:
        outputs = self._outputs.values() if isinstance(self._outputs, dict) else [self._outputs]
        return f"Graph({', '.join(self.inputs)} -> {', '.join(map(str, outputs))}; {len(self.nodes)} layers)"

    @property
    def input_shape(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What the graph takes: a shape, or where there are several inputs, one for each."""
        shapes = tuple(self.inputs.values())
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def num_directions(self) -> int | None:  # type: ignore[override]
        """How many directions the output's last axis holds."""
        return self._directions[self._outputs] if isinstance(self._outputs, str) else 1

    def output_shape(self, shape: tuple[Any, ...]) -> Any:
        """The shape that comes of an input's (of a tuple of all inputs' shapes, where there are several)."""
        shapes = dict(zip(self.inputs, [shape] if len(self.inputs) == 1 else shape, strict=True))
        for node in self.nodes:
            shapes.update(_nodes.shapes_of(node, shapes))
        return self._formed(shapes)

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths that hold for what comes out; those given alone are of every input with a time axis."""
        if lengths is None or isinstance(lengths, Mapping):
            ends = self._spread(lengths)
        else:
            times = self._times()
            ends = {name: lengths if name in times else None for name in self.inputs}
        for node in self.nodes:
            ends.update(_nodes.lengths_of(node, ends))
        return self._formed(ends)

    def parts(self, shape: tuple[Any, ...]) -> list[Part]:
        """Inputs and layers, for the summary."""
        shapes = dict(zip(self.inputs, [shape] if len(self.inputs) == 1 else shape, strict=True))
        found = [Part(name, "(input)", each, each, None) for name, each in shapes.items()]
        for node in self.nodes:
            shapes.update(_nodes.shapes_of(node, shapes))
            sources = ", ".join(node.inputs if node.state is None else (*node.inputs, f"state of {node.state}"))
            taken = shapes[node.inputs[0]] if len(node.inputs) == 1 else tuple(shapes[each] for each in node.inputs)
            title = f"= {type(node.layer).__name__}({sources})"
            found.append(Part(node.name, title, taken, shapes[node.name], node.layer))
        return found

    def _stream_steps(self, rows: int) -> list[Any]:
        raise ValueError("a Graph takes whole sequences, so it cannot run step by step")

    def _formed(self, values: Mapping[str, Any]) -> Any:
        """What comes out, alone or by name, of all values."""
        self._check_complete()
        if isinstance(self._outputs, str):
            return values[self._outputs]
        return {name: values[value] for name, value in (self._outputs or {}).items()}

    def _check_complete(self) -> None:
        if self._outputs is None:
            raise RuntimeError("the graph is not complete: say what comes out with outputs()")

    def _times(self) -> dict[str, str]:
        """The letter of each input that has a time axis."""
        return {name: shape[1] for name, shape in self.inputs.items() if len(shape) > 1 and isinstance(shape[1], str)}

    def _spread(self, lengths: Any) -> dict[str, Any]:
        """Lengths by input: those given for one input hold for all with the same letter."""
        times = self._times()
        if lengths is None:
            lengths = {}
        elif not isinstance(lengths, Mapping):
            if len(set(times.values())) != 1:
                raise ValueError(
                    "lengths must be a mapping from names of inputs, as the inputs have "
                    + (f"different time axes: {', '.join(sorted(set(times.values())))}" if times else "no time axis")
                )
            lengths = {next(iter(times)): lengths}
        found: dict[str, Any] = {}
        for name, each in lengths.items():
            self._check_known(name, times, "input with a time axis")
            if each is None:
                continue
            if not np.array_equal(found.setdefault(times[name], each), each):
                raise ValueError(f"lengths: inputs with the time axis {times[name]} must have equal lengths")
        return {name: found.get(times.get(name, "")) for name in self.inputs}

    def _enter(self, x: Any, lengths: Any) -> tuple[dict[str, Array], dict[str, Any]]:
        """Inputs and lengths by name, checked."""
        self._check_complete()
        given = x if isinstance(x, Mapping) else {next(iter(self.inputs)): x} if len(self.inputs) == 1 else {}
        if given.keys() != self.inputs.keys():
            got = ", ".join(map(str, given)) if isinstance(x, Mapping) else type(x).__name__
            raise ValueError(f"a Graph takes a mapping with the inputs {', '.join(self.inputs)}, got {got}")
        sizes: dict[str, int] = {}
        values, ends = {}, self._spread(lengths)
        for name, shape in self.inputs.items():
            array = np.asarray(given[name])
            wanted = [axis if isinstance(axis, int) else sizes.get(axis) for axis in shape]
            if array.ndim != len(shape) or any(
                a is not None and a != b for a, b in zip(wanted, array.shape, strict=True)
            ):
                known = ", ".join(f"{letter} = {size}" for letter, size in sizes.items() if letter in shape)
                wanted_shape = f"({', '.join(map(str, shape))})" + (f" with {known}" if known else "")
                raise ValueError(f"input {name!r} must have shape {wanted_shape}, got {array.shape}")
            sizes.update((a, b) for a, b in zip(shape, array.shape, strict=True) if isinstance(a, str))
            values[name] = _check.real(array, self.dtype, name) if array.dtype.kind == "f" else array
            if ends[name] is not None:
                ends[name] = ops.sequence_lengths(ends[name], array.shape[:2])
        return values, ends

    def __call__(self, x: Any, *, lengths: Any = None) -> Any:
        """Inference.

        Parameters
        ----------
        x : mapping of str to array_like
            Every input by name; where there is one only, it may come as it is.
        lengths : array_like of int (B,), or mapping of str to these, optional
            Of each input with a time axis, by name; those of one input hold for all with the same letter. One array
            does where all such inputs share one letter.

        Returns
        -------
        numpy.ndarray, or dict of str to numpy.ndarray
            As `outputs` was told.

        Raises
        ------
        ValueError, TypeError
            For wrong names, shapes and dtypes.
        """
        values, ends = self._enter(x, lengths)
        _nodes.run(self.nodes, values, ends)
        return self._formed(values)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Any, Backward]:
        """Training.

        Parameters
        ----------
        x, lengths
            As in a call.
        rng : None, int or numpy.random.Generator
            One key is drawn from it; each layer's masks follow from the key and the order in which it was added.

        Returns
        -------
        y
            As a call gives it.
        backward : callable
            `backward(dy, grads=None, need_dx=True) -> dx`: dy in the form of y, where None stands for zeros; dx in the
            form of x, with None for whole numbers. It works once and adds to `self.grads`, or to the mapping given, all
            or nothing.
        """
        once = BackwardOnce(self.slots())
        values, ends = self._enter(x, lengths)
        key = None if rng is None else draw_key(rng)
        tape = _nodes.forward(self.nodes, values, ends, key)
        shapes = {name: (array.shape, array.dtype) for name, array in values.items()}
        names = set(self._outputs.values() if isinstance(self._outputs, dict) else [str(self._outputs)])
        y = self._formed(_nodes.apart(self.nodes, values, names))
        alone = not isinstance(x, Mapping)

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Any:
            totals = self._output_gradients(dy, shapes)
            once.start()
            found = _nodes.backward(tape, totals, shapes, shapes.keys() if need_dx else shapes.keys() - self.inputs)
            once.add(self._by_name(found), grads)
            dx = {}
            for name in self.inputs:
                shape, dtype = shapes[name]
                dx[name] = totals.get(name, np.zeros(shape, dtype) if dtype.kind == "f" else None) if need_dx else None
            return dx[next(iter(dx))] if alone else dx

        return y, backward

    def _output_gradients(self, dy: Any, shapes: Mapping[str, Any]) -> dict[str, Array]:
        """dy by value, summed where a value comes out twice."""
        pairs: list[tuple[str, str, Any]]
        if isinstance(self._outputs, dict):
            if not isinstance(dy, Mapping) or dy.keys() != self._outputs.keys():
                raise ValueError(f"dy must be a mapping with the outputs {', '.join(self._outputs)}")
            pairs = [(f"dy[{name!r}]", value, dy[name]) for name, value in self._outputs.items()]
        else:
            pairs = [("dy", str(self._outputs), dy)]
        totals: dict[str, Array] = {}
        for name, value, each in pairs:
            if each is not None:
                shape, dtype = shapes[value]
                each = _check.real(each, dtype, name)
                if each.shape != shape:
                    raise ValueError(f"{name} must have the shape of y, {shape}, got {each.shape}")
                _nodes.add(totals, value, each)
        return totals
