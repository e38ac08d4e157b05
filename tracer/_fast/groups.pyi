"""Groups of rows by key, in bounded memory: for the other compiled modules only (see groups.pxd)."""
