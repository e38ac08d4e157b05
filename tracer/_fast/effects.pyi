"""What a call that succeeded does to descriptors, directories and the break. For Cython only."""
