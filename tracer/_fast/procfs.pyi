"""Records made of what /proc answers. For Cython only."""
