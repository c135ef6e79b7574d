"""What this machine offers and what rnnfast makes of it."""

import platform


def show_config() -> None:
    """Print versions, the instruction set of the kernels (of those this machine has) and the number of threads."""
    import numpy

    import rnnfast
    from rnnfast.kernels import _runtime, _threads

    rows = {
        "rnnfast": rnnfast.__version__,
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "NumPy": numpy.__version__,
        "instruction set": f"{_runtime.isa()} (of {', '.join(_runtime.available_isas())})",
        "threads": str(_threads.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<16} {value}")
