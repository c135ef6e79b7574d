# Nothing for Python: other modules cimport the division of a time loop among threads.
