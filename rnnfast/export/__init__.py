"""Models as source code for machines that have no Python.

`c_source` writes one C99 file that needs nothing but a C compiler and its mathematical library.
"""

from rnnfast._lazy import attach

_names = {"rnnfast.export.c": ["c_source", "save_c"]}
__all__, __getattr__, __dir__ = attach(__name__, _names)
