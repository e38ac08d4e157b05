"""Starting a command that waits for its cue before it runs the program."""

from libc.errno cimport errno
from libc.signal cimport SIG_DFL, SIGPIPE, signal
from libc.stdlib cimport free, malloc
from posix.signal cimport SIG_SETMASK, sigemptyset, sigprocmask, sigset_t
from posix.unistd cimport _exit, close, execv, fork, read, write

import os


cdef extern from "signal.h" nogil:
    int SIGXFSZ


cdef void run_child(const char *path, char **argv, int cue, int cue_write, int report) noexcept nogil:
    """What the child does: only calls that are safe after a fork of a program with threads (signal-safety(7))."""
    cdef char go
    cdef sigset_t none
    cdef int error
    close(cue_write)  # else the cue would never end when the parent does
    signal(SIGPIPE, SIG_DFL)  # Python ignores both
    signal(SIGXFSZ, SIG_DFL)
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, NULL)
    if read(cue, &go, 1) != 1:
        _exit(127)
    execv(path, argv)
    error = errno
    write(report, &error, sizeof(error))
    _exit(127)


def spawn(bytes path not None, list argv not None) -> tuple[int, int, int]:
    """Fork a child that will run `path` with `argv` (bytes) once a byte is written to it.

    Returns (pid, cue, report): write one byte to the descriptor `cue` to let it go, or close it to make it exit with
    127. `report` gives end-of-file when the program runs, else the errno of execve as a C int. Both belong to the
    caller. The child has the caller's standard streams, environment and working directory, and no signal blocked.

    Raises OSError if the fork fails.
    """
    cdef char **arguments = <char **> malloc((len(argv) + 1) * sizeof(char *))
    cdef const char *program = path
    cdef int pid = -1, cue = -1, cue_end = -1, report = -1
    if arguments == NULL:
        raise MemoryError
    try:
        for i, argument in enumerate(argv):
            arguments[i] = argument
        arguments[len(argv)] = NULL
        cue_read, cue_write = os.pipe()
        report_read, report_write = os.pipe()
        cue, cue_end, report = cue_read, cue_write, report_write
        with nogil:
            pid = fork()
            if pid == 0:
                run_child(program, arguments, cue, cue_end, report)
        if pid < 0:
            os.close(cue_write)
            os.close(report_read)
            raise OSError(errno, os.strerror(errno))
        return pid, cue_write, report_read
    finally:
        free(arguments)
        close(cue)
        close(report)
