"""How many processors this process may use."""

import os
from pathlib import Path, PurePosixPath


def processors(root: str | Path = "/") -> int:
    """The affinity's count, and on Linux no more than the control groups' quota: whole processors, at least one.

    Parameters
    ----------
    root : str or Path
        The folder that holds proc and sys.
    """
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(number, int(quota(root))))


def quota(root: str | Path) -> float:
    """The tightest quota of this process's control groups and those above them; a large number where there is none."""
    root = Path(root)
    least = 1e6
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = ["sys/fs/cgroup/cpu", f"sys/fs/cgroup/{controllers}"]
        else:
            continue
        own = PurePosixPath(path)
        for mount in mounts:
            for group in (own, *own.parents):
                folder = root / mount / str(group).lstrip("/")
                limit = _read(folder / "cpu.max") or (
                    _read(folder / "cpu.cfs_quota_us") + " " + _read(folder / "cpu.cfs_period_us")
                )
                words = limit.split()
                if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
                    least = min(least, int(words[0]) / int(words[1]))
    return least


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
