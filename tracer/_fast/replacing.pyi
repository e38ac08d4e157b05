"""Calls that give a number to another file, and what that leaves in doubt. For Cython only."""
