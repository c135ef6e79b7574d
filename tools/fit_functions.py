"""Coefficients of rnnfast/kernels/src/functions.h: run it and compare what it prints.

h coth h as a polynomial in h², the constant term exactly 1, for |h| up to ln(2)/4: Remez's exchange algorithm for the
least greatest relative error (Muller, Elementary Functions, chapter on minimax approximations), in 60 decimal digits.
"""

import math
import struct
from decimal import Decimal, localcontext
from itertools import pairwise

DEGREES = {"float": 2, "double": 5}
GRID = 2000


def h_coth_h(square: Decimal) -> Decimal:
    """h coth h from h²."""
    h = square.sqrt()
    power = (2 * h).exp()
    return h * (power + 1) / (power - 1) if h else Decimal(1)


def evaluate(coefficients: list[Decimal], u: Decimal) -> Decimal:
    """The polynomial with these coefficients, lowest power first, at u."""
    total = Decimal(0)
    for coefficient in reversed(coefficients):
        total = total * u + coefficient
    return total


def solve(matrix: list[list[Decimal]], right: list[Decimal]) -> list[Decimal]:
    """Gauss-Jordan elimination with partial pivoting."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda j: abs(rows[j][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for j in range(size):
            if j != i:
                factor = rows[j][i] / rows[i][i]
                rows[j] = [x - factor * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def extrema(errors: list[Decimal]) -> list[int]:
    """Where the error is greatest between one change of sign and the next."""
    changes = [i for i in range(1, len(errors)) if (errors[i] > 0) != (errors[i - 1] > 0)]
    runs = pairwise([0, *changes, len(errors)])
    return [max(range(start, stop), key=lambda i: abs(errors[i])) for start, stop in runs]


def fit(degree: int, highest: Decimal) -> tuple[list[Decimal], Decimal]:
    """The best coefficients for 0 < u <= highest, and their greatest relative error."""
    # The error vanishes at 0 by construction, so the grid starts beyond it.
    grid = [highest * (1 - Decimal(math.cos(math.pi * i / GRID))) / 2 for i in range(1, GRID + 1)]
    values = [h_coth_h(u) for u in grid]
    points = [round((GRID - 1) * (i + 1) / (degree + 1)) for i in range(degree + 1)]
    while True:
        matrix = [
            [*(grid[j] ** power / values[j] for power in range(1, degree + 1)), Decimal((-1) ** i)]
            for i, j in enumerate(points)
        ]
        *coefficients, level = solve(matrix, [1 - 1 / values[j] for j in points])
        coefficients = [Decimal(1), *coefficients]
        errors = [evaluate(coefficients, u) / value - 1 for u, value in zip(grid, values, strict=True)]
        greatest = max(map(abs, errors))
        if greatest <= abs(level) * Decimal("1.0001"):
            return coefficients, greatest
        points = extrema(errors)
        if len(points) != degree + 1:
            raise ArithmeticError(f"Remez's algorithm needs {degree + 1} alternations, found {len(points)}")


def main() -> None:
    """Print the coefficients, lowest power first, as C literals."""
    with localcontext() as context:
        context.prec = 60
        # A little further than ln(2)/4: rounding x / ln 2 may leave slightly more than half.
        highest = (Decimal(2).ln() / 4 * Decimal("1.0001")) ** 2
        for kind, degree in DEGREES.items():
            coefficients, error = fit(degree, highest)
            print(f"{kind}: relative error {error:.1e}")
            for power, coefficient in enumerate(coefficients):
                rounded = float(coefficient)
                if kind == "float":
                    rounded = struct.unpack("f", struct.pack("f", rounded))[0]
                print(f"    h^{2 * power:<2} {rounded.hex()}{'f' if kind == 'float' else ''}")


if __name__ == "__main__":
    main()
