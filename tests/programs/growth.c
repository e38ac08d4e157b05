/* A program that wants its tracer to grow: many paths, short-lived processes, names of its thread, open descriptors.
 *
 *     growth PATHS PROCESSES NAMES DESCRIPTORS DEPTH
 *
 * Every row of its pread64 calls tells whether it is right, whatever came before it: the file made-I has I + 1 bytes, which
 * is what the call returns, and a thread that is called cN reads the file made-(N % FILES). All files lie DEPTH folders of
 * FOLDER_BYTES deep. Says at its end how many such calls it has made.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

enum { FILES = 1000, FOLDER_BYTES = 200, NAMES_PER_READ = 100, READS_EVERY = 51, SPARE = 64, MOST_HOLDERS = 1000 };

static long reads;

static void look(int fd, int number)
{
	char bytes[FILES];

	if (MUST(pread(fd, bytes, sizeof(bytes), 0)) != number + 1)
		exit(73);
	reads++;
}

static const char *made(int number)
{
	static char name[32];

	snprintf(name, sizeof(name), "made-%d", number);
	return name;
}

static void descend(int depth)
{
	char folder[FOLDER_BYTES + 1];

	memset(folder, 'd', FOLDER_BYTES);
	folder[FOLDER_BYTES] = '\0';
	for (; depth > 0; depth--) {
		MUST(mkdir(folder, 0700));
		MUST(chdir(folder));
	}
}

static void make_files(void)
{
	static const char bytes[FILES];

	for (int i = 0; i < FILES; i++) {
		int fd = MUST(open(made(i), O_CREAT | O_RDWR, 0600));

		MUST(write(fd, bytes, i + 1));
		MUST(close(fd));
	}
}

static void open_paths(int paths)
{
	char name[32];

	for (int i = 0; i < paths; i++) {
		snprintf(name, sizeof(name), "missing-%d", i);
		FAILS(ENOENT, open(name, O_RDONLY));
	}
}

/* Each looks at a file that it got from its parent, and at one of its own. */
static void start_processes(int processes)
{
	int inherited = MUST(open(made(7), O_RDONLY));

	for (int i = 0; i < processes; i++) {
		int pid = MUST(fork());

		if (pid == 0) {
			look(inherited, 7);
			look(MUST(open(made(i % FILES), O_RDONLY)), i % FILES);
			_exit(0);
		}
		reap(pid);
		reads += 2;
	}
	MUST(close(inherited));
}

static void change_name(int names)
{
	char name[16];

	for (int i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		MUST(prctl(PR_SET_NAME, name));
		if (i % NAMES_PER_READ == 0) {
			int fd = MUST(open(made(i % FILES), O_RDONLY));

			look(fd, i % FILES);
			MUST(close(fd));
		}
	}
	MUST(prctl(PR_SET_NAME, "growth"));
}

/* Holds so many descriptors open until all others do, too, and looks at some before and after. */
static void hold(int descriptors, int ready, int go)
{
	int *held = calloc(descriptors, sizeof(int));
	char byte = 0;

	for (int i = 0; i < descriptors; i++)
		held[i] = MUST(open(made(i % FILES), O_RDONLY));
	for (int i = 0; i < descriptors; i += READS_EVERY)
		look(held[i], i % FILES);
	MUST(write(ready, &byte, 1));
	MUST(read(go, &byte, 1));
	for (int i = 0; i < descriptors; i += READS_EVERY)
		look(held[i], i % FILES);
	_exit(0);
}

/* As many processes as it takes: each has as many descriptors as the limit, raised if that is allowed, lets it. */
static void hold_descriptors(int descriptors)
{
	struct rlimit limit = {descriptors + SPARE, descriptors + SPARE};
	int ready[2], go[2], pids[MOST_HOLDERS], holders = 0, each;
	char byte;

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		MUST(getrlimit(RLIMIT_NOFILE, &limit));
		limit.rlim_cur = limit.rlim_max;
		MUST(setrlimit(RLIMIT_NOFILE, &limit));
	}
	each = (int)limit.rlim_cur - SPARE;
	MUST(pipe(go));
	for (; descriptors > 0 && holders < MOST_HOLDERS; descriptors -= each, holders++) {
		int mine = descriptors < each ? descriptors : each;

		MUST(pipe(ready));
		pids[holders] = MUST(fork());
		if (pids[holders] == 0) {
			MUST(close(go[1]));
			hold(mine, ready[1], go[0]);
		}
		reads += 2 * ((mine + READS_EVERY - 1) / READS_EVERY);
		MUST(close(ready[1]));
		if (MUST(read(ready[0], &byte, 1)) != 1)
			exit(74);
		MUST(close(ready[0]));
	}
	MUST(close(go[1]));
	while (holders > 0)
		reap(pids[--holders]);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 75;
	descend(atoi(argv[5]));
	make_files();
	open_paths(atoi(argv[1]));
	start_processes(atoi(argv[2]));
	change_name(atoi(argv[3]));
	hold_descriptors(atoi(argv[4]));
	printf("%ld\n", reads);
	return 0;
}
