"""Pure functions from a recording to a small result table; how it looks is the business of `tracer.cli`."""
