"""`python -m tracer` is `tracer-cli`."""

from tracer.cli import main

if __name__ == "__main__":
    main()
