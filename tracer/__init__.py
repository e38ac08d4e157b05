"""A syscall and file-I/O tracer: eBPF in the kernel, Cython in the middle, Parquet at the end."""
