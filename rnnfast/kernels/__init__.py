"""The compiled core: numbers in, numbers out."""
