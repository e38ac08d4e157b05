"""Starting a command that waits for its cue before it runs the program."""

from collections.abc import Iterable, Sequence

def spawn(
    path: bytes,
    argv: list[bytes],
    blocked: Iterable[int] = ...,
    ignore_children: bool = ...,
    user: tuple[int, int, Sequence[int]] | None = ...,
) -> tuple[int, int, int]:
    """Fork a child that will run `path` with `argv` once a byte is written to it.

    Returns (pid, cue, report): write one byte to the descriptor `cue` to let it go, or close it to make it exit with
    127. `report` gives end-of-file when the program runs, else the errno of execve as a C int. Both belong to the
    caller. The child has the caller's standard streams, environment and working directory, the signals `blocked`
    (numbers) blocked, and SIGCHLD ignored if `ignore_children`. SIGPIPE and SIGXFSZ are set to their defaults: Python
    ignores both and does not tell how it found them. `user` is whom it becomes before it runs the program: user, group
    and supplementary groups (numbers).

    Raises OSError if the fork fails, ValueError for a NUL byte in an argument.
    """
