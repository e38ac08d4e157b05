"""The kernel program and the headers it is compiled with, installed as `tracer.bpf` to travel in the wheel."""
