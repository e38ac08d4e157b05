"""Making path texts that need more than a look: folding, and names of what lies in no directory. For Cython only."""
