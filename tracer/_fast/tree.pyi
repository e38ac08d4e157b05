"""A bounded tree of named nodes with weights. For Cython only."""
