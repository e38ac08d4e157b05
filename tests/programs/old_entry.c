/* A number becomes another file's by the entry for programs of 32 bits, whose calls are not seen for what they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define OLD_DUP2 63 /* arch/x86/entry/syscalls/syscall_32.tbl */

static long old_entry(long number, long first, long second)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(first), "c"(second)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

int main(void)
{
	int first = MUST(open("first", O_CREAT | O_RDWR, 0600)), second = MUST(open("second", O_CREAT | O_RDWR, 0600));

	MUST(dup2(first, NUMBER));
	MUST(pwrite(NUMBER, "x", 1, 0));
	if (old_entry(OLD_DUP2, second, NUMBER) != NUMBER)
		exit(73);
	MUST(pwrite(NUMBER, "x", 1, 0));
	return 0;
}
