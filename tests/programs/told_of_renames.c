/* A process renames a file to and fro; another one hears of it from inotify, which tells before the rename returns, and
 * makes a call whose argument says what the file is called by then: `lseek` to N is one on "N".
 * With an argument, it renames by the entry for programs of 32 bits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"
#include "old_entry.h"

#define TIMES 20000
#define OLD_RENAME 38

static void listen_for_renames(int events, int fd, int heard)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (int i = 0; i < TIMES; i++) {
		struct inotify_event *event = (struct inotify_event *)bytes;

		MUST(read(events, bytes, sizeof(bytes)));
		MUST(lseek(fd, atoi(event->name), SEEK_SET));
		MUST(write(heard, "x", 1));
	}
	_exit(0);
}

static void rename_file(int by_old_entry, const char *name, const char *other)
{
	if (!by_old_entry)
		MUST(rename(name, other));
	else if (old_entry(OLD_RENAME, in_low(0, name), in_low(64, other)) != 0)
		exit(73);
}

int main(int argc, char **argv)
{
	(void)argv;
	map_low();
	int fd = MUST(open("1", O_CREAT | O_RDONLY, 0600)), events = MUST(inotify_init1(0)), heard[2];
	char byte;

	MUST(inotify_add_watch(events, ".", IN_MOVED_TO));
	MUST(pipe(heard));
	if (MUST(fork()) == 0)
		listen_for_renames(events, fd, heard[1]);
	for (int i = 0; i < TIMES; i++) {
		rename_file(argc > 1, i & 1 ? "2" : "1", i & 1 ? "1" : "2");
		MUST(read(heard[0], &byte, 1));
	}
	MUST(wait(NULL));
	return 0;
}
