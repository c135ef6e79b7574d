"""Do the tests find a fault in the kernels? Builds each one in, and expects the tests to fail.

The faults are those of rnnfast/kernels/src/fault.h. A copy of the sources is built in a temporary folder, first without
a fault, where the tests must pass, then once for each, where they must fail. It needs what a build needs
(CONTRIBUTING.md).

    python tools/mutation_check.py [FAULT ...]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = (ROOT / "rnnfast/kernels/src/fault.h").read_text()
FAULTS = [name.lower() for name in re.findall(r"^ +FAULT_(\w+)", HEADER, re.MULTILINE)]  # in order; the first is none
MODULES = ("_packed", "_gradients", "_weight_gradients")  # the modules that know of faults
TESTS = ("tests/kernels/test_recurrent_forward.py", "tests/kernels/test_recurrent_backward.py")


def build(folder: Path, fault: str) -> None:
    """Build the copy with a fault."""
    for module in MODULES:
        for built in [*folder.rglob(f"{module}.*.so"), *folder.rglob(f"{module}.o")]:
            built.unlink()
    environment = os.environ | {"RNNFAST_FAULT": fault}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def first_failure(folder: Path, fault: str) -> str | None:
    """Run the tests on the copy; the name of the first that fails."""
    environment = os.environ | {"PYTHONPATH": os.fspath(folder), "PYTHONSAFEPATH": "1"}
    # The build says which fault it has, so that no other rnnfast can have been tested by mistake.
    found = subprocess.run(
        [sys.executable, "-c", "from rnnfast.kernels import _gradients, _runtime; print(_gradients.fault())"],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if int(found.stdout) != FAULTS.index(fault):
        sys.exit(f"the build for {fault} has fault {found.stdout.strip()}")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *TESTS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    failed = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 1 or failed is None:
        sys.exit(done.stdout + done.stderr)
    return failed[1]


def main(faults: list[str]) -> int:
    """Check the faults named, or all; the exit code."""
    if unknown := set(faults) - set(FAULTS):
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS[1:])}")
    missed = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "rnnfast"
        ignored = shutil.ignore_patterns(".git", "build", "dist", "*.so", "__pycache__", ".*_cache", "venv", ".venv")
        shutil.copytree(ROOT, folder, ignore=ignored)
        for fault in dict.fromkeys(["none", *(faults or FAULTS)]):
            start = time.monotonic()
            build(folder, fault)
            failed = first_failure(folder, fault)
            print(f"{fault:12} {failed or 'every test passed'} ({time.monotonic() - start:.0f} s)", flush=True)
            if fault == "none" and failed:
                sys.exit("the tests must pass without a fault")
            if fault != "none" and not failed:
                missed.append(fault)
    print(f"not found: {', '.join(missed)}" if missed else "every fault was found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
