"""What this machine offers and what rnnfast makes of it."""

import platform


def show_config() -> None:
    """Print versions, the instruction set (of those this machine has), the backend and the number of threads."""
    import numpy

    import rnnfast
    from rnnfast._backend import get_backend
    from rnnfast.kernels import _runtime, _threads

    rows = {
        "rnnfast": rnnfast.__version__,
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "NumPy": numpy.__version__,
        "instruction set": f"{_runtime.isa()} (of {', '.join(_runtime.available_isas())})",
        "backend": get_backend(),
        "threads": str(_threads.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<16} {value}")
