"""Texts that are not plain ASCII, as columns have them: valid UTF-8. For Cython only."""
