"""Having what the next records need in the cache before they are handled. For Cython only."""
