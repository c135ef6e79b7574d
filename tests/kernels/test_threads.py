"""The pool of threads: every index once, whoever runs it, whatever else the process does."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rnnfast.kernels import _processors, _threads

LONG_WAIT = 20.0


def run_program(program, **environment):
    """Run a program in a fresh interpreter; a hang fails the test."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 64, 1000])
def test_every_index_runs_once(threads, count):
    _threads.set_num_threads(threads)
    for _ in range(20):
        runs, _, _ = _threads._self_test(count, 3)
        np.testing.assert_array_equal(runs, np.ones((count, 3)))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_as_many_threads_work_as_set(threads):
    _threads.set_num_threads(threads)
    _, seen, _ = _threads._self_test(threads, wait=LONG_WAIT)
    assert len(np.unique(seen)) == threads
    _, seen, _ = _threads._self_test(10 * threads, wait=0.001)
    assert len(np.unique(seen)) <= threads


def test_nested_tasks_stay_on_their_thread():
    _threads.set_num_threads(3)
    _, seen, _ = _threads._self_test(3, 5, wait=LONG_WAIT)
    assert len(np.unique(seen[:, 0])) == 3
    np.testing.assert_array_equal(seen, np.broadcast_to(seen[:, :1], seen.shape))


def test_sleeping_workers_wake():
    _threads.set_num_threads(2)
    for _ in range(5):
        _, seen, _ = _threads._self_test(2, wait=LONG_WAIT)
        assert len(np.unique(seen)) == 2
        time.sleep(0.02)  # longer than a worker looks for work before it sleeps


def test_many_python_threads_at_once():
    _threads.set_num_threads(3)

    def calls(_):
        return sum(int(_threads._self_test(17, 2)[0].sum()) for _ in range(300))

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(calls, range(8))) == [300 * 17 * 2] * 8


def test_number_changes_while_others_call():
    def calls(number):
        for i in range(100):
            _threads.set_num_threads(1 + (number + i) % 5)
            runs, _, _ = _threads._self_test(9, 2)
            assert (runs == 1).all()
        return True

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(calls, range(4)))


def test_a_busy_pool_makes_nobody_wait():
    """While one thread holds the pool for a second, another's call runs on that thread itself."""
    _threads.set_num_threads(2)
    program = """
        import threading, time
        import numpy as np
        from rnnfast.kernels import _threads
        _threads.set_num_threads(2)
        # Three tasks on two threads cannot all have started, so that each task waits its whole second.
        holder = threading.Thread(target=lambda: _threads._self_test(3, wait=1.0))
        holder.start()
        time.sleep(0.3)
        _, seen, _ = _threads._self_test(50)
        assert holder.is_alive(), "the call waited for the other thread's"
        assert set(np.unique(seen)) == {threading.get_ident()}
        holder.join()
    """
    result = run_program(program)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("wrong", [0, -1, 1025, 10**30])
def test_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match=r"number of threads, must be 1 to 1024, got"):
        _threads.set_num_threads(wrong)


@pytest.mark.parametrize("wrong", [2.0, "2", None, True, np.float32(2), [2]])
def test_numbers_of_other_kinds(wrong):
    before = _threads.get_num_threads()
    with pytest.raises(TypeError, match="number of threads, must be an integer, got"):
        _threads.set_num_threads(wrong)
    assert _threads.get_num_threads() == before


@pytest.mark.parametrize("number", [1, 5, 1024, np.int64(3), np.uint8(4)])
def test_numbers_are_kept(number):
    _threads.set_num_threads(number)
    assert _threads.get_num_threads() == int(number)


def test_environment_sets_the_default():
    program = "from rnnfast.kernels import _threads; print(_threads.get_num_threads())"
    assert run_program(program, RNNFAST_NUM_THREADS="5").stdout == "5\n"
    assert run_program(program, RNNFAST_NUM_THREADS="").stdout == f"{_processors.processors()}\n"


@pytest.mark.parametrize("wrong", ["0", "-2", "two", "1.5", "4096"])
def test_wrong_environment_is_named(wrong):
    result = run_program("import rnnfast.kernels._threads", RNNFAST_NUM_THREADS=wrong)
    assert result.returncode != 0
    assert f"RNNFAST_NUM_THREADS must be an integer from 1 to 1024, got '{wrong}'" in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity on this system")
def test_affinity_is_respected():
    program = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from rnnfast.kernels import _threads
        print(_threads.get_num_threads())
    """
    assert run_program(program, RNNFAST_NUM_THREADS="").stdout == "1\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("cgroup", "limits", "quota"),
    [
        ("0::/\n", {}, 1e6),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 1e6),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "300000 100000\n"}, 0.5),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            4.0,
        ),
        ("3:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 1e6),
        ("3:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "20000\n", "cpu/x/cpu.cfs_period_us": "10000\n"}, 2.0),
        ("3:cpuset:/x\n", {"cpuset/x/cpu.cfs_quota_us": "20000", "cpuset/x/cpu.cfs_period_us": "10000"}, 1e6),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 1e6),
    ],
)
def test_control_group_quota(tmp_path, cgroup, limits, quota):
    write(tmp_path / "proc/self/cgroup", cgroup)
    for name, limit in limits.items():
        write(tmp_path / "sys/fs/cgroup" / name, limit)
    assert _processors.quota(tmp_path) == quota
    assert 1 <= _processors.processors(tmp_path) <= max(1, int(quota))


def test_no_control_groups(tmp_path):
    assert _processors.quota(tmp_path) == 1e6
    assert _processors.processors(tmp_path) == _processors.processors(tmp_path / "nowhere") >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_workers_sleep_and_while_they_work():
    program = """
        import os, sys, threading, warnings
        import numpy as np
        from rnnfast.kernels import _threads

        warnings.simplefilter("ignore", DeprecationWarning)

        def child():
            runs, seen, _ = _threads._self_test(3, 4, wait=20.0)
            return bool((runs == 1).all()) and len(np.unique(seen)) == 3

        def forked():
            pid = os.fork()
            if pid == 0:
                os._exit(0 if child() else 1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        _threads.set_num_threads(3)
        assert forked() == 0, "before the pool has started"
        assert child()
        assert forked() == 0, "after it has"
        over = threading.Event()
        def busy():
            while not over.is_set():
                _threads._self_test(8, 2, wait=0.0005)
        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        codes = [forked() for _ in range(10)]
        over.set()
        for thread in threads:
            thread.join()
        assert codes == [0] * 10, codes
        assert child(), "the parent's pool lives on"
    """
    result = run_program(program)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("asleep", [True, False])
def test_exit_does_not_hang(asleep):
    program = f"""
        import atexit, threading, time
        from rnnfast.kernels import _threads
        _threads.set_num_threads(4)

        def at_exit():
            runs, _, _ = _threads._self_test(4, wait=20.0 if {asleep} else 0.0)
            assert (runs == 1).all()
            print("last call")

        atexit.register(at_exit)
        _threads._self_test(4, wait=20.0)
        if {asleep}:
            time.sleep(0.05)
        else:
            # A daemon thread is in the middle of a long call when the interpreter ends.
            threading.Thread(target=lambda: _threads._self_test(8, wait=30.0), daemon=True).start()
            time.sleep(0.05)
    """
    result = run_program(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "last call\n", "")


def test_exit_by_exec_and_by_signal():
    program = """
        import os, sys
        from rnnfast.kernels import _threads
        _threads.set_num_threads(3)
        _threads._self_test(3, wait=20.0)
        os.execv(sys.executable, [sys.executable, "-c", "print('another program')"])
    """
    if sys.platform == "win32":
        pytest.skip("exec starts another process here")
    result = run_program(program)
    assert (result.returncode, result.stdout) == (0, "another program\n")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads Linux's /proc")
def test_workers_block_signals():
    program = """
        from pathlib import Path
        from rnnfast.kernels import _threads

        def masks():
            found = []
            for status in Path("/proc/self/task").glob("*/status"):
                line = next(l for l in status.read_text().splitlines() if l.startswith("SigBlk"))
                found.append(int(line.split()[1], 16))
            return found

        before = len(masks())
        _threads.set_num_threads(4)
        _threads._self_test(4, wait=20.0)
        blocking = [mask for mask in masks() if mask >> 1 & 1 and mask >> 14 & 1]
        assert len(masks()) == before + 3, masks()
        assert len(blocking) == 3, masks()
        _threads.set_num_threads(2)
        _threads._self_test(2, wait=20.0)
        assert len(masks()) == before + 1, "fewer threads are wanted: the others end"
    """
    result = run_program(program, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_side_by_side(threads):
    _threads.set_num_threads(threads)
    found = _threads.side_by_side(lambda: 1, lambda: "two", lambda: threading.get_ident())
    assert found[:2] == [1, "two"]
    assert threads == 2 or found[2] == threading.get_ident()


def test_functions_side_by_side_have_a_thread_each():
    _threads.set_num_threads(2)
    barrier = threading.Barrier(2, timeout=60)
    assert sorted(_threads.side_by_side(barrier.wait, barrier.wait)) == [0, 1]


def test_side_by_side_raises_the_first_error_after_all_have_run():
    _threads.set_num_threads(2)
    ran = []

    def fail(kind):
        ran.append(kind)
        raise kind

    with pytest.raises(KeyError):
        _threads.side_by_side(lambda: 1, lambda: fail(KeyError), lambda: fail(OSError))
    assert len(ran) == 2
