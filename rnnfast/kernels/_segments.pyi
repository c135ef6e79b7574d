# Nothing for Python: other modules cimport where a call in training saves.
