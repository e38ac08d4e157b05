"""When a recording ends before its target does: a signal, or its time is up."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tracer.cli.render import say
from tracer.clock import boot_clock_ns
from tracer.pipeline import FLUSH_S, FORWARDED, Target

GRACE_S = 5.0
"""How long a command that got our signal may take to end before the recording ends without it."""

PATIENCE_S = 1.0
"""How long we wait for a command without a word."""

MAY_BE_IGNORED = (signal.SIGHUP, signal.SIGQUIT)
"""By nohup, or by a shell without job control for what it starts in the background. That ignores SIGINT, too, by which
recordings are ended all the same."""

SI_KERNEL = 0x80
"""si_code of a signal from the terminal (sigaction(2)). The command gets it, too, but for SIGHUP, which is the session
leader's."""


class Early:
    """Handler of SIGUSR1 until it is known what the signal is for: it would end us."""

    def __init__(self) -> None:
        self._has_come = False

    def __call__(self, *_: object) -> None:
        """It has come."""
        self._has_come = True

    @classmethod
    def begin(cls) -> None:
        """Note it from now on, unless it is ignored."""
        if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, cls())

    @staticmethod
    def end() -> bool:
        """As it was before; whether it has come."""
        handler = signal.getsignal(signal.SIGUSR1)
        if not isinstance(handler, Early):
            return False
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        return handler._has_come


class Stopping:
    """Holds SIGINT, SIGTERM, SIGHUP and SIGQUIT (but those two only if they are not ignored, as by nohup) back and asks
    for them once a millisecond, so that a recording always ends in order.

    A first signal goes on to a command that we started, and the recording ends when the command does, at the latest
    five seconds later; a second one ends it at once. `finish` waits for the target, whose `exit_status` is known
    afterwards.
    """

    def __init__(self, duration_s: float | None, target: Target) -> None:
        self.exit_status = 0
        self.each_look: Callable[[], None] = lambda: None
        self._user_action: Callable[[int], None] | None = None
        self._user_action_s: float | None = None
        self._asked_ns: int | None = None
        self._target = target
        self._duration_s = duration_s
        self._end: float | None = None
        self._signalled = False
        self._looked = False
        ignored = {number for number in MAY_BE_IGNORED if signal.getsignal(number) == signal.SIG_IGN}
        self._ending = {*FORWARDED} - ignored
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._ending)

    def on_user_signal(self, action: Callable[[int], None]) -> None:
        """Call `action` a while after each SIGUSR1, when all that came before it has been handed out, with the time
        (boot clock, ns) at which it came.

        One that came before now counts from the first look.
        """
        self._user_action = action
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        if Early.end():
            self._asked_ns = boot_clock_ns()

    def _look_for_user_signal(self) -> None:
        if self._user_action is None:
            return
        if signal.sigtimedwait({signal.SIGUSR1}, 0) is not None and self._asked_ns is None:
            self._asked_ns = boot_clock_ns()
        if self._asked_ns is not None and self._user_action_s is None:
            self._user_action_s = time.monotonic() + 2 * FLUSH_S
        if self._asked_ns is not None and self._user_action_s is not None and time.monotonic() >= self._user_action_s:
            self._user_action(self._asked_ns)
            self._user_action_s = self._asked_ns = None

    def is_due(self) -> bool:
        """Whether the recording ends now."""
        self.each_look()
        self._look_for_user_signal()
        if not self._looked:
            self._looked = True
            self._end = time.monotonic() + self._duration_s if self._duration_s is not None else None
        got = signal.sigtimedwait(self._ending, 0)
        if got is not None:
            return self._on_signal(got)
        if self._end is None or time.monotonic() < self._end:
            return False
        if not self._signalled:
            self._target.send_signal(signal.SIGTERM)
        return True

    def _on_signal(self, got: signal.struct_siginfo) -> bool:
        again = self._signalled
        self._signalled = True
        if got.si_code != SI_KERNEL or got.si_signo == signal.SIGHUP or again:
            self._target.send_signal(got.si_signo)
        self._end = time.monotonic() + GRACE_S
        return again or not self._target.is_ours

    def finish(self, quiet: bool) -> None:
        """Wait for the target and take signals again. Those that came too late to end anything are passed on or
        dropped. One that takes its time is told of."""
        while (got := signal.sigtimedwait(self._ending, 0)) is not None:
            self._on_signal(got)
        if self._user_action is not None:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # one that came too late must not end us
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        if self._target.is_ours and not quiet:
            self._tell_of_one_that_stays()
        self.exit_status = self._target.finish()

    def _tell_of_one_that_stays(self) -> None:
        due = time.monotonic() + PATIENCE_S
        while not self._target.is_over():
            if time.monotonic() >= due:
                say("tracer-cli: the command is still running; waiting for its end, or for another signal\n")
                return
            time.sleep(0.01)
