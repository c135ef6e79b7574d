"""What this machine offers and what rnnfast makes of it."""

import platform
from typing import Any


def config() -> dict[str, Any]:
    """Versions, instruction sets, backend and threads, by name."""
    import numpy

    import rnnfast
    from rnnfast._backend import get_backend
    from rnnfast.kernels import _runtime, _threads

    return {
        "rnnfast": rnnfast.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "numpy": numpy.__version__,
        "instruction_set": _runtime.isa(),
        "instruction_sets": list(_runtime.available_isas()),
        "backend": get_backend(),
        "threads": _threads.get_num_threads(),
    }


def config_text() -> str:
    """The same as lines."""
    found = config()
    rows = {
        "rnnfast": found["rnnfast"],
        "Python": f"{found['python']} ({found['system']})",
        "NumPy": found["numpy"],
        "instruction set": f"{found['instruction_set']} (of {', '.join(found['instruction_sets'])})",
        "backend": found["backend"],
        "threads": found["threads"],
    }
    return "\n".join(f"{name:<16} {value}" for name, value in rows.items())


def show_config() -> None:
    """Print versions, the instruction set (of those this machine has), the backend and the number of threads."""
    print(config_text())
