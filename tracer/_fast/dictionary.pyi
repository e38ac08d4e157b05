"""The distinct texts of one column, numbered in the order in which they came. For Cython only."""
