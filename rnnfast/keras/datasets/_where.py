"""Where Keras keeps what it has downloaded."""

import os
from pathlib import Path


def find(path: str) -> Path:
    """A file by its path, or by its name in Keras's folder.

    Raises
    ------
    FileNotFoundError
        When there is none; nothing is downloaded.
    """
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    for found in (Path(path), home / "datasets" / path):
        if found.is_file():
            return found
    raise FileNotFoundError(
        f"there is no {path!r}, neither here nor in {home / 'datasets'}: rnnfast downloads nothing. Keras puts the "
        "file there when it loads the data once; or give load_data its path"
    )
