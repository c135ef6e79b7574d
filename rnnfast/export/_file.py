"""The C file around the stages: declarations, the state, how steps and sequences run, the self-test."""

import re
from collections.abc import Iterator

import numpy as np

from rnnfast.export._plan import Node, Plan, merge_expression
from rnnfast.export._text import Stage, Text, declared

_TOLERANCE = "1e-5f"


def write_file(plan: Plan, text: Text, max_steps: int | None, x: np.ndarray, expected: np.ndarray) -> str:
    """The whole file, with `@` for the model's name and `@@` for the same in capitals.

    Parameters
    ----------
    plan, text
        What the layers have made.
    max_steps : int or None
        Of a model with a reverse direction.
    x, expected : ndarray
        A sequence and what the model makes of it, for the self-test.
    """
    return _File(plan, text, max_steps).source(x, expected)


class _File:
    def __init__(self, plan: Plan, text: Text, max_steps: int | None):
        self.plan, self.text = plan, text
        self.nodes = plan.body + plan.head
        self.inputs, self.outputs = self.nodes[0].inputs, self.nodes[-1].outputs
        self.takes_ids = self.nodes[0].stages[0].num_ids > 0
        self.x = "const int32_t *ids" if self.takes_ids else "const float *x"
        self.max_steps = max_steps if plan.reads_backwards else None
        self.num_ids = self.nodes[0].stages[0].num_ids
        before = plan.body[-1].outputs if plan.body else self.inputs
        self.last = before if plan.ending is None or plan.ending.merge == "concat" else before // 2
        self.numbers = {id(stage): k for k, stage in enumerate(self._stages())}
        self.fields: list[tuple[str, int]] = [
            field for stage in self._stages() for field in stage.state
        ] + self._buffers()

    def source(self, x: np.ndarray, expected: np.ndarray) -> str:
        """The text."""
        flash, ram = self.text.num_bytes, 4 * sum(size for _, size in self.fields)
        running = self._backwards() if self.max_steps else self._forwards()
        most = f"#define @@_MAX_STEPS {self.max_steps}\n" if self.max_steps else ""
        step = "" if self.max_steps else f"int @_step(@_state *s, {self.x}, float *y);\n"
        return f"""/* @: a model of rnnfast in C99. Weights {flash} bytes (flash), @_state {ram} bytes (RAM).

{self._description()}

   To be compiled with -lm. `cc -std=c99 -D@@_SELF_TEST` makes a program that tests the model. For other files to
   call it, they #define @@_DECLARATIONS_ONLY and #include this one. */

#ifndef @@_INCLUDED
#define @@_INCLUDED

#include <stdint.h>

#define @@_INPUTS {self.inputs}
#define @@_OUTPUTS {self.outputs}
{most}
typedef struct {{
{self._state()}
}} @_state;

void @_reset(@_state *s);
{step}int @_sequence(@_state *s, {self.x}, int32_t steps, float *y);

#endif

#ifndef @@_DECLARATIONS_ONLY

#include <math.h>
#include <string.h>

{self.text.arrays()}
{self.text.functions()}
{"".join(map(self._stage, self._stages()))}{self._reset()}
{running}
{self._self_test(x, expected)}
#endif
"""

    def _stages(self) -> Iterator[Stage]:
        return (stage for node in self.nodes for stage in node.stages)

    def _description(self) -> str:
        lines = []
        for node in self.nodes:
            for stage, reverse in zip(node.stages, node.reverse, strict=True):
                way = " from the end to the start" * reverse + ", its input added" * node.around
                lines.append(f"   {stage.title}: {stage.inputs} to {stage.outputs}{way}")
        if self.plan.ending is not None:
            at = sum(len(node.stages) for node in self.plan.body)
            lines.insert(at, "   Last: what follows sees the sequence's end alone")
        return "\n".join(lines)

    def _buffers(self) -> list[tuple[str, int]]:
        """Scratch memory, and what goes from stage to stage."""
        body, head, ending = self.plan.body, self.plan.head, self.plan.ending
        between = [node.outputs * (self.max_steps or 1) for node in (body if ending and self.max_steps else body[:-1])]
        after = [node.outputs for node in head[:-1]]
        fields = [(name, max(between + after)) for name in "ab"[: max(len(between), len(after))]]
        if ending and head:
            fields.append(("last", self.last))
        scratch = max(stage.scratch for stage in self._stages())
        remembers = any(stage.state for stage in self._stages())
        # No struct of C may be empty.
        return [*fields, ("scratch", scratch or 1)] if scratch or not (fields or remembers) else fields

    def _state(self) -> str:
        return "\n".join(f"    float {name}[{size}];" for name, size in self.fields)

    def _stage(self, stage: Stage) -> str:
        x = "const int32_t *x" if stage.num_ids else "const float *x"
        name = f"static void @_stage{self.numbers[id(stage)]}"
        return f"/* {stage.title} */\n{_function(name, f'{x}, float *y', stage.body)}\n"

    def _call(self, stage: Stage, source: str, target: str) -> str:
        return f"@_stage{self.numbers[id(stage)]}(s, {source}, {target});"

    def _reset(self) -> str:
        arrays = [declared(f"@_first_{name}", values, str(values.size)) for name, values in self.plan.initial.items()]
        lines = [f"memcpy(s->{name}, @_first_{name}, sizeof s->{name});" for name in self.plan.initial]
        return "\n".join([*arrays, _function("void @_reset", "", "memset(s, 0, sizeof *s);", *lines)])

    def _chain(self, name: str, x: str, nodes: list[Node]) -> str:
        """The function that takes one step through nodes."""
        source, lines = x.rpartition("*")[2], []
        for k, node in enumerate(nodes):
            to = "y" if k == len(nodes) - 1 else f"s->{'ab'[k % 2]}"
            lines.append(self._call(node.stages[0], source, to))
            if node.around:
                lines.append(f"for (int j = 0; j < {node.outputs}; j++)\n    {to}[j] += {source}[j];")
            source = to
        copy = f"memcpy(y, {source}, @@_INPUTS * sizeof(float));"
        return _function(f"static void @_{name}", f"{x}, float *y", *(lines or [copy]))

    def _forwards(self) -> str:
        """A step, and a sequence that is so many of them."""
        ending, head, x = self.plan.ending, self.plan.head, self.x.rpartition("*")[2]
        target = "s->last" if ending and head else "y"
        finish = ["@_head(s, s->last, y);"] if ending and head else []
        each = target if ending else "y + (size_t)t * @@_OUTPUTS"
        empty = f"if (steps == 0)\n    memset({target}, 0, {self.last} * sizeof(float));"
        return "\n".join(
            [
                self._chain("body", self.x, self.plan.body),
                *([self._chain("head", "const float *x", head)] if finish else []),
                _function(
                    "int @_step", f"{self.x}, float *y", *self._refused("1"), f"@_body(s, {x}, {target});", *finish,
                    "return 0;",
                ),
                _function(
                    "int @_sequence",
                    f"{self.x}, int32_t steps, float *y",
                    "if (steps < 0)\n    return -1;",
                    *self._refused("steps"),
                    *([empty] if ending else []),
                    f"for (int32_t t = 0; t < steps; t++)\n    @_body(s, {x} + (size_t)t * @@_INPUTS, {each});",
                    *finish,
                    "return 0;",
                ),
            ]
        )  # fmt: skip

    def _backwards(self) -> str:
        """A sequence, stage by stage."""
        ending, head = self.plan.ending, self.plan.head
        source, lines = self.x.rpartition("*")[2], []
        for k, node in enumerate(self.plan.body):
            to = "y" if ending is None and k == len(self.plan.body) - 1 else f"s->{'ab'[k % 2]}"
            at = 0
            for stage, reverse in zip(node.stages, node.reverse, strict=True):
                x, y = (f"{name} + (size_t)t * {size}" for name, size in ((source, node.inputs), (to, node.outputs)))
                way = "int32_t t = steps; t-- > 0;" if reverse else "int32_t t = 0; t < steps; t++"
                lines.append(f"for ({way})\n    {self._call(stage, x, f'{y} + {at}' if at else y)}")
                at += stage.outputs
            if node.around:
                lines.append(f"for (int32_t j = 0; j < steps * {node.outputs}; j++)\n    {to}[j] += {source}[j];")
            source = to
        if ending is not None:
            lines += self._picked(source, "s->last" if head else "y")
        return "\n".join(
            [
                *([self._chain("head", "const float *x", head)] if head else []),
                _function(
                    "int @_sequence",
                    f"{self.x}, int32_t steps, float *y",
                    "if (steps < 0 || steps > @@_MAX_STEPS)\n    return -1;",
                    *self._refused("steps"),
                    "@_reset(s);",
                    *lines,
                    *(["@_head(s, s->last, y);"] if head else []),
                    "return 0;",
                ),
            ]
        )

    def _picked(self, source: str, target: str) -> list[str]:
        """Lines that take of a sequence what `Last` does."""
        ending, width = self.plan.ending, self.plan.body[-1].outputs
        assert ending is not None
        forward, lines = ending.forward, []
        end = f"{source} + (size_t)(steps - 1) * {width}"
        if ending.merge != "concat":
            value = merge_expression(ending.merge, width // 2, f"({end})", source)
            lines = [f"for (int j = 0; j < {width // 2}; j++)\n        {target}[j] = {value};"]
        else:
            if forward:
                lines.append(f"memcpy({target}, {end}, {forward} * sizeof(float));")
            if forward < width:
                lines.append(f"memcpy({target} + {forward}, {source} + {forward}, {width - forward} * sizeof(float));")
        zero = f"memset({target}, 0, {self.last} * sizeof(float));"
        return ["\n".join(["if (steps == 0) {", f"    {zero}", "} else {", *(f"    {line}" for line in lines), "}"])]

    def _refused(self, steps: str) -> list[str]:
        """Lines that refuse ids which the Embedding does not have."""
        if not self.takes_ids:
            return []
        wrong = f"ids[t] < 0 || ids[t] >= {self.num_ids}"
        return [f"for (int32_t t = 0; t < {steps}; t++)\n    if ({wrong})\n        return -1;"]

    def _self_test(self, x: np.ndarray, expected: np.ndarray) -> str:
        T, ending = len(x), self.plan.ending is not None
        kind = "int32_t" if self.takes_ids else "float"
        compare = "        float difference = fabsf(y[k] - expected[k]) / (1.0f + fabsf(expected[k]));"
        check = [
            "for (int k = 0; k < (int)(sizeof expected / sizeof *expected); k++) {",
            compare.removeprefix("    "),
            "    worst = fmaxf(worst, difference);",
            f"    wrong += !(difference <= {_TOLERANCE});",
            "}",
        ]
        step = [
            "@_reset(&state);",
            f"for (int32_t t = 0; t < {T}; t++)",
            f"    @_step(&state, x + t * @@_INPUTS, y{'' if ending else ' + t * @@_OUTPUTS'});",
            *check,
        ]
        lines = [
            "static @_state state;",
            f"static float y[{expected.size}];",
            "float worst = 0.0f;",
            "int wrong = 0;",
            "@_reset(&state);",
            f"if (@_sequence(&state, x, {T}, y) != 0)\n    return 2;",
            *check,
            *([] if self.max_steps else step),
            'printf("@: largest difference %g, state %lu bytes\\n", worst, (unsigned long)sizeof state);',
            "return wrong > 0;",
        ]
        shape = "x".join(map(str, x.shape))
        return f"""#ifdef @@_SELF_TEST

#include <stdio.h>

{declared("x", x.ravel(), shape, kind)}
{declared("expected", expected.ravel(), "x".join(map(str, expected.shape)))}
int main(void)
{{
{_indented(*lines)}
}}

#endif
"""


def _indented(*blocks: str) -> str:
    return "\n".join(f"    {line}" for block in blocks for line in block.split("\n"))


def _function(name: str, arguments: str, *lines: str) -> str:
    """A function of the state and of these arguments."""
    unused = [] if any(re.search(r"\bs\b", line) for line in lines) else ["(void)s;"]
    given = f"@_state *s{', ' * bool(arguments)}{arguments}"
    return f"{name}({given})\n{{\n{_indented(*unused, *lines)}\n}}\n"
