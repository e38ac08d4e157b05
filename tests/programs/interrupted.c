/* Calls that a signal breaks off: a read that is begun again (SA_RESTART), one that is not, a poll; and children that
 * are killed in the middle of one. Each signal is sent when /proc says that its receiver sleeps in the call.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include "check.h"

static int never[2];

static void handle(int number)
{
	(void)number;
	/* What a handler does comes between two halves of a restarted call. */
	MUST(write(never[1], "", 0));
}

static void handle_with(int flags)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};

	MUST(sigaction(SIGUSR1, &action, NULL));
}

static int sleeps_in(int pid, int number)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	fd = MUST(open(path, O_RDONLY));
	MUST(read(fd, text, sizeof(text) - 1));
	MUST(close(fd));
	return strtol(text, NULL, 10) == number && strchr(text, 'x') != NULL;
}

static void signal_in_call(int pid, int signal_number, int syscall_number)
{
	while (!sleeps_in(pid, syscall_number))
		usleep(1000);
	MUST(kill(pid, signal_number));
}

static void wait_for_end_of(int pid, int wanted)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (status != wanted)
		exit(1);
}

static void restarted(void)
{
	int ends[2], pid;
	char byte;

	MUST(pipe(ends));
	pid = MUST(fork());
	if (pid == 0) {
		handle_with(SA_RESTART);
		MUST(write(never[1], "", 0));
		MUST(read(ends[0], &byte, 1));
		_exit(0);
	}
	signal_in_call(pid, SIGUSR1, 0);
	signal_in_call(pid, SIGUSR1, 0);
	MUST(write(ends[1], "x", 1));
	reap(pid);
}

static void broken_off(void)
{
	int pid = MUST(fork());
	char byte;

	if (pid == 0) {
		struct pollfd wait_for = {.fd = never[0], .events = POLLIN};

		handle_with(0);
		FAILS(EINTR, read(never[0], &byte, 1));
		FAILS(EINTR, poll(&wait_for, 1, -1));
		_exit(0);
	}
	signal_in_call(pid, SIGUSR1, 0);
	signal_in_call(pid, SIGUSR1, 7);
	reap(pid);
}

static void killed(int number)
{
	int pid = MUST(fork());
	char byte;

	if (pid == 0) {
		MUST(read(never[0], &byte, 1));
		_exit(1);
	}
	signal_in_call(pid, number, 0);
	wait_for_end_of(pid, number);
}

int main(void)
{
	MUST(pipe(never));
	/* Before a child has its handler the signal would kill it: a handler is inherited. */
	handle_with(SA_RESTART);
	restarted();
	broken_off();
	killed(SIGKILL);
	killed(SIGTERM);
	return 0;
}
