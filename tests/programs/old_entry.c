/* A program of 64 bits that makes calls by the entry for programs of 32 bits: they give its number to another file, rename
 * the directory of a file that is open (in a child of it, too), and change the working directory.
 */
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"
#include "old_entry.h"

#define NUMBER 30
enum { OLD_CHDIR = 12, OLD_RENAME = 38, OLD_DUP2 = 63, OLD_GETGROUPS = 80, OLD_SELECT = 82, OLD_SWAPON = 87 };

static void must_be(long result, long wanted)
{
	if (result != wanted)
		exit(73);
}

/* What 64-bit calls have under these numbers: chdir, rename, unlink. */
static void forge(void)
{
	must_be(old_entry(OLD_GETGROUPS, 0, 0), getgroups(0, NULL));
	old_entry(OLD_SELECT, 0, 0);
	old_entry(OLD_SWAPON, 0, 0);
}

static void change_a_number(void)
{
	int first = MUST(open("first", O_CREAT | O_RDWR, 0600)), second = MUST(open("second", O_CREAT | O_RDWR, 0600));

	MUST(dup2(first, NUMBER));
	MUST(pwrite(NUMBER, "x", 1, 0));
	must_be(old_entry(OLD_DUP2, second, NUMBER), NUMBER);
	MUST(pwrite(NUMBER, "x", 1, 0));
}

static void rename_a_directory(void)
{
	int to_child[2], to_parent[2];
	char byte;

	MUST(pipe(to_child));
	MUST(pipe(to_parent));
	MUST(mkdir("dir", 0700));
	open_as(NUMBER, "dir/file");
	int child = MUST(fork());

	if (child == 0) {
		MUST(pwrite(NUMBER, "x", 1, 0));
		MUST(write(to_parent[1], "x", 1));
		MUST(read(to_child[0], &byte, 1));
		MUST(pwrite(NUMBER, "x", 1, 0));
		_exit(0);
	}
	MUST(read(to_parent[0], &byte, 1));
	must_be(old_entry(OLD_RENAME, in_low(0, "dir"), in_low(64, "moved")), 0);
	MUST(write(to_child[1], "x", 1));
	reap(child);
	MUST(pwrite(NUMBER, "x", 1, 0));
}

static void change_the_directory(void)
{
	MUST(syscall(SYS_access, "moved", F_OK));
	must_be(old_entry(OLD_CHDIR, in_low(0, "moved"), 0), 0);
	MUST(syscall(SYS_access, "file", F_OK));
}

int main(void)
{
	map_low();
	forge();
	change_a_number();
	rename_a_directory();
	change_the_directory();
	return 0;
}
