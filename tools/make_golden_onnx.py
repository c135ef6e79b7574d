"""Write tests/golden/onnx/*.npz from ONNX Runtime: `python tools/make_golden_onnx.py` (needs onnx, onnxruntime)."""

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import checks_onnx  # noqa: E402


def main() -> None:
    folder = TESTS / "golden" / "onnx"
    folder.mkdir(exist_ok=True)
    for name in checks_onnx.RECORDS:
        np.savez_compressed(folder / f"{name}.npz", **checks_onnx.make_record(name))
        print(f"{name}: {(folder / name).with_suffix('.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
