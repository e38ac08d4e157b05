"""Starting a command that waits for its cue before it runs the program."""

from libc.errno cimport errno
from libc.signal cimport SIG_DFL, SIG_IGN, SIGCHLD, SIGPIPE, signal
from libc.stdlib cimport free, malloc
from posix.signal cimport SIG_SETMASK, sigaddset, sigemptyset, sigprocmask, sigset_t
from posix.types cimport gid_t, uid_t
from posix.unistd cimport _exit, close, execv, fork, read, write

import os


cdef extern from "signal.h" nogil:
    int SIGXFSZ

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>

    /* Not the C library's: they would make threads follow that a forked child has not. */
    static int tracer_become(uid_t uid, gid_t gid, const gid_t *groups, size_t count)
    {
        return syscall(SYS_setgroups, count, groups) || syscall(SYS_setresgid, gid, gid, gid) ||
               syscall(SYS_setresuid, uid, uid, uid);
    }
    """
    int tracer_become(uid_t uid, gid_t gid, const gid_t *groups, size_t count) noexcept nogil

cdef enum:
    GROUPS_LIMIT = 65536  # NGROUPS_MAX, limits.h

cdef struct identity:
    bint is_other
    uid_t uid
    gid_t gid
    gid_t *groups
    size_t count


cdef void run_child(const char *path, char **argv, int cue, int cue_write, int report, const sigset_t *blocked,
                    bint ignore_children, const identity *user) noexcept nogil:
    """What the child does: only calls that are safe after a fork of a program with threads (signal-safety(7))."""
    cdef char go
    cdef int error
    close(cue_write)  # else the cue would never end when the parent does
    signal(SIGPIPE, SIG_DFL)  # Python ignores both
    signal(SIGXFSZ, SIG_DFL)
    if ignore_children:
        signal(SIGCHLD, SIG_IGN)
    sigprocmask(SIG_SETMASK, blocked, NULL)
    if read(cue, &go, 1) != 1:
        _exit(127)
    if not (user.is_other and tracer_become(user.uid, user.gid, user.groups, user.count)):
        execv(path, argv)
    error = errno
    write(report, &error, sizeof(error))
    _exit(127)


cdef int choose_user(identity *other, tuple user) except -1:
    """Write down whom the child becomes. The caller frees the groups."""
    cdef size_t i
    other.uid, other.gid, groups = user
    other.count = len(groups)
    if other.count > GROUPS_LIMIT:
        raise ValueError("too many groups")
    other.groups = <gid_t *> malloc((other.count + 1) * sizeof(gid_t))
    if other.groups == NULL:
        raise MemoryError
    for i in range(other.count):
        other.groups[i] = groups[i]
    other.is_other = True
    return 0


def spawn(bytes path not None, list argv not None, blocked=(), bint ignore_children=False,
          tuple user=None) -> tuple[int, int, int]:
    """Fork a child that will run `path` with `argv` (bytes) once a byte is written to it.

    Returns (pid, cue, report): write one byte to the descriptor `cue` to let it go, or close it to make it exit with
    127. `report` gives end-of-file when the program runs, else the errno of execve as a C int. Both belong to the
    caller. The child has the caller's standard streams, environment and working directory, the signals `blocked`
    (numbers) blocked, and SIGCHLD ignored if `ignore_children`. SIGPIPE and SIGXFSZ are set to their defaults: Python
    ignores both and does not tell how it found them. `user` is whom it becomes before it runs the program: user, group
    and supplementary groups (numbers).

    Raises OSError if there are no descriptors left or the fork fails, ValueError for a NUL byte in an argument.
    """
    cdef char **arguments = NULL
    cdef const char *program = path
    cdef int pid = -1, cue = -1, cue_write = -1, report_read = -1, report = -1
    cdef sigset_t mask
    cdef identity other = identity(False, 0, 0, NULL, 0)
    if b"\0" in path or any(b"\0" in argument for argument in argv):
        raise ValueError("an argument holds a NUL byte")
    sigemptyset(&mask)
    for number in blocked:
        sigaddset(&mask, number)
    try:
        arguments = <char **> malloc((len(argv) + 1) * sizeof(char *))
        if arguments == NULL:
            raise MemoryError
        if user is not None:
            choose_user(&other, user)
        for i, argument in enumerate(argv):
            arguments[i] = argument
        arguments[len(argv)] = NULL
        cue, cue_write = os.pipe()
        report_read, report = os.pipe()
        with nogil:
            pid = fork()
            if pid == 0:
                run_child(program, arguments, cue, cue_write, report, &mask, ignore_children, &other)
        if pid < 0:
            raise OSError(errno, os.strerror(errno))
        return pid, cue_write, report_read
    except BaseException:
        close(cue_write)
        close(report_read)
        raise
    finally:
        free(arguments)
        free(other.groups)
        close(cue)
        close(report)
