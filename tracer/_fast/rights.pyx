"""Giving up capabilities, thread by thread: the kernel keeps them for each one (capabilities(7))."""

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from posix.unistd cimport getpid

import os

cdef extern from *:
    """
    #include <errno.h>
    #include <linux/capability.h>
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static uint64_t tracer_kept;

    /* Only bare system calls: it also runs in a signal handler. Who can't give up is found by looking. */
    static int tracer_give_up(void)
    {
        struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        int half;

        if (syscall(SYS_capget, &head, data))
            return -1;
        for (half = 0; half < 2; half++) {
            uint32_t kept = (uint32_t)(tracer_kept >> (32 * half));

            data[half].effective &= kept;
            data[half].permitted &= kept;
            data[half].inheritable = 0;
        }
        if (syscall(SYS_capset, &head, data))
            return -1;
        return (int)syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
    }

    static void tracer_on_signal(int number)
    {
        int saved = errno;

        (void)number;
        tracer_give_up();
        errno = saved;
    }

    static int tracer_handle(int number)
    {
        struct sigaction action;

        memset(&action, 0, sizeof(action));
        action.sa_handler = tracer_on_signal;
        action.sa_flags = SA_RESTART;
        return sigaction(number, &action, NULL);
    }

    static int tracer_tell(int tgid, int tid, int number)
    {
        return (int)syscall(SYS_tgkill, tgid, tid, number);
    }
    """
    uint64_t tracer_kept
    int tracer_give_up() nogil
    int tracer_handle(int number) nogil
    int tracer_tell(int tgid, int tid, int number) nogil


def give_up(uint64_t kept, int number) -> None:
    """Reduce the calling thread's capabilities to those of the mask `kept`, and set no_new_privs; threads that it
    starts later inherit both. From then on signal `number` makes any other thread that gets it do the same.

    Raises OSError.
    """
    global tracer_kept
    tracer_kept = kept
    if tracer_handle(number) or tracer_give_up():
        raise OSError(errno, os.strerror(errno))


def tell(int tid, int number) -> None:
    """Send a signal to one thread of this process; one that has ended is none."""
    tracer_tell(getpid(), tid, number)
