# Nothing for Python: other modules cimport the product of weight gradients.
