"""One process for each system that the benchmark times, so that no two share threads or memory.

`python -m rnnfast.cli._worker MODULE THREADS` answers pickled requests on its standard input, one after the other:
("make", case) with the result to compare, or None; ("time",) with the seconds of one call; ("peak", dtype) with this
thread's multiply-adds in a second; ("read", size) with the bytes that it reads in a second of so many. While it waits
it does nothing: the parent times one system at a time.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

_PATIENCE = 300.0  # seconds for an answer; compilers of graphs are slow
_SPINNING = 0.25  # how long threads of some systems spin after a call


class WorkerError(Exception):
    """What went wrong in a system, or that its process is gone."""


class Worker:
    """A system's process.

    Parameters
    ----------
    module : str
        What makes the system's contestants, as in `rnnfast.cli._rivals.RIVALS`.
    threads : int
        Threads, and processors that the process may use.
    """

    def __init__(self, module: str, threads: int) -> None:
        self.module, self.threads = module, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - the process's standard error, closed in __exit__

    def ask(self, *request: Any) -> Any:
        """Send a request and return the answer; a process that is not there is started.

        Raises
        ------
        WorkerError
            When the system fails, dies or does not answer in time.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rnnfast.cli._worker", self.module, str(self.threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=os.environ | environment(self.threads),
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(_PATIENCE, process.kill)
        timer.start()
        try:
            pickle.dump(request, process.stdin)
            process.stdin.flush()
            good, answer = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._end()
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(words) if line.strip()), "")
            raise WorkerError(f"its process ended with code {process.returncode}{last and ': ' + last}") from None
        finally:
            timer.cancel()
        if not good:
            raise WorkerError(answer)
        return answer

    def seconds(self) -> float:
        """Seconds of one call of what was made last."""
        found = self.ask("time")
        if self.threads > 1:
            time.sleep(_SPINNING)
        return found

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # one that is ending by itself tells its own code
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
        self._end()
        self._errors.close()


def environment(threads: int) -> dict[str, str]:
    """Variables that the systems read when they are loaded."""
    names = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM", "NUMBA_NUM", "TF_NUM_INTRAOP")
    found = {f"{name}_THREADS": str(threads) for name in names}
    found |= {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow"}
    if threads == 1:
        # Nobody waits for another thread. With more of them each system keeps its own way to wait.
        found |= {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
        found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return found


def serve(module: str, threads: int) -> None:
    """Answer requests until the parent closes the pipe."""
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import numpy as np

    from rnnfast.cli._timing import repeats, seconds
    from rnnfast.kernels import _runtime, _threads

    _threads.set_num_threads(threads)
    gc.disable()  # as timeit does; each case is cleaned up before the next
    made: Any = None
    calls = 1

    def answer(what: str, *given: Any) -> Any:
        nonlocal made, calls
        if what == "peak":
            return _runtime.fma_rate(*given)
        if what == "read":
            return _runtime.read_rate(*given)
        if what == "time":
            seconds(made.call, 1 + calls // 10)
            return seconds(made.call, calls)
        from rnnfast.cli._cases import make_data

        made = None
        gc.collect()
        made = importlib.import_module(module).contestant(given[0], make_data(given[0]))
        if made is None:
            return None
        result = {key: np.array(value) for key, value in made.result().items()}  # some are views of what calls change
        calls = repeats(made.call)
        return result

    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = (True, answer(*request))
        except Exception as error:  # whatever a system throws is for the parent to report
            reply = (False, f"{type(error).__name__}: {error}")
        pickle.dump(reply, answers)
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
