# Nothing for Python: other modules cimport what follows the backward loop.
