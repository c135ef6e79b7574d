"""Arrays out of HDF5 files that others wrote: links are not followed, and sizes are compared with what is there."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnfast.interop._extra import package

Array = np.ndarray

# How many bytes one stored byte may become: more than any sound compression of weights.
_DENSEST = 2000


@contextlib.contextmanager
def opened(file: Any, what: str) -> Iterator[Any]:
    """The HDF5 file; everything that its library raises becomes a ValueError with `what` in front."""
    h5py = package("h5py", "reading Keras files")
    try:
        with h5py.File(file, "r") as found:
            yield found
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise ValueError(error if str(error).startswith(what) else f"{what}: {error}") from None
    except (OSError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        raise ValueError(f"{what}: it is damaged, or not what it should be ({error})") from None


def group_in(group: Any, path: str) -> Any:
    """The group at a path below another, or None; links out of the file are refused."""
    for name in filter(None, path.split("/")):
        group = _member(group, name)
        if group is None:
            return None
        if hasattr(group, "shape"):
            raise ValueError(f"{group.name!r} is an array, a group was expected")
    return group


def _member(group: Any, name: str) -> Any:
    h5py = package("h5py", "reading Keras files")
    link = group.get(name, getlink=True) if name in group else None
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name!r} in {group.name!r} is a link, which is not followed")
    return group[name]


def dataset(group: Any, path: str) -> Any:
    """The array at a path below a group, checked but not read."""
    *folders, name = path.split("/")
    inner = group_in(group, "/".join(folders))
    found = None if inner is None else _member(inner, name)
    if found is None or not hasattr(found, "shape") or found.shape is None:
        raise ValueError(f"there is no array {path!r} in {group.name!r}")
    if found.dtype.kind not in "fiu":
        raise ValueError(f"the array {found.name!r} holds {found.dtype}, not numbers")
    if found.external or found.is_virtual:
        raise ValueError(f"the array {found.name!r} lies in another file, which is not read")
    size, stored = found.size * found.dtype.itemsize, found.id.get_storage_size()
    if size > stored * (_DENSEST if found.chunks else 1):
        raise ValueError(f"the array {found.name!r} claims {size} bytes, and {stored} are stored")
    return found


def names(group: Any, attribute: str) -> list[str]:
    """A list of texts in an attribute, which Keras cuts in pieces where it is long."""
    if attribute in group.attrs:
        pieces = [group.attrs[attribute]]
    else:
        pieces = []
        while f"{attribute}{len(pieces)}" in group.attrs:
            pieces.append(group.attrs[f"{attribute}{len(pieces)}"])
        if not pieces:
            raise ValueError(f"{group.name!r} has no attribute {attribute!r}")
    return [text(each) for piece in pieces for each in np.atleast_1d(piece)]


def text(value: Any) -> str:
    """A text attribute."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise ValueError(f"a text was expected, got {value!r:.60}")


def read(found: Any) -> Array:
    """The numbers of an array that has been checked."""
    array = np.asarray(found[()])
    return array.astype(np.float32) if array.dtype == np.float16 else array
