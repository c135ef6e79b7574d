"""Imports run one way, as docs/design.md draws it."""

import ast
from pathlib import Path

import rnnfast

FOLDER = Path(rnnfast.__file__).parent
FLOORS = [("cli", "keras"), ("models", "files"), ("training", "decoding", "data"), ("layers",), ("ops",), ("kernels",)]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WINGS = {"interop", "export", "plotting", "testing"}
ORACLES = {"reference", "equations"}


def imports(path):
    """The rooms of which a file imports something at its top; what is imported when used may come from above."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnnfast."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "rnnfast":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                name.split(".")[1] for name in (alias.name for alias in node.names) if name.startswith("rnnfast.")
            )


def test_imports_run_one_way():
    wrong = []
    for path in FOLDER.rglob("*.py"):
        room = path.relative_to(FOLDER).parts[0].removesuffix(".py")
        for found in imports(path):
            if room in ORACLES:
                bad = found not in {room, "_lazy"}
            elif room in WINGS:
                bad = found in FLOORS[0] or (found in WINGS and found != room)
            else:
                up = found in FLOOR and room in FLOOR and FLOOR[found] < FLOOR[room]
                bad = up or (found in WINGS and room not in FLOORS[0])
            if bad:
                wrong.append(f"{path.relative_to(FOLDER)} imports {found}")
    assert wrong == []
