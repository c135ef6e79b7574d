"""Things that are kept as JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self


class Saved:
    """Gives a class with `to_dict` and `from_dict` the methods `save` and `load`."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` rebuilds this from, ready for JSON."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Rebuild from the mapping that `to_dict` returned."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a JSON file.

        Raises
        ------
        OSError
            When the file cannot be written. An older file of that name is then still whole.
        """
        from rnnfast.files import write_whole

        text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        write_whole(path, text.encode("utf-8", "surrogatepass"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read from a JSON file that `save` wrote.

        Raises
        ------
        OSError
            When the file cannot be read.
        ValueError
            When it is not such a file.
        """
        try:
            saved = json.loads(Path(path).read_bytes().decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: it is not a JSON file, or damaged ({error})") from None
        try:
            return cls.from_dict(saved)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
