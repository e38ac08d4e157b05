/* A program that wants to hurt who looks at it: names of files and threads that move cursors, set titles, end lines,
 * turn the direction of text, forge rows and closing lines, are no UTF-8, or are empty. Each thread opens a file of its
 * own after it has taken its name.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define BIDI "\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9"

static const char *const files[] = {
	"\x1b]0;owned\x07", "\x1b[2J\x1b[H", "\x1b]52;c;cm0gLXJm\x07", "\x9b" "31m", "\xc2\x9b" "31m",
	"a\r\ntracer-cli: 9 rows in 0.00 s, nothing lost; x, 1 B\n", "a\nread 1 2 3", "a;b 17", "a,b\",=cmd|'C x'!A1",
	BIDI, "txt.\xe2\x80\xae" "cod.exe", "\xe2\x80\x8f\xe2\x80\x8e\xd8\x9c", "\xe2\x80\xa8\xe2\x80\xa9\xc2\x85",
	"\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x7f", "\xff\xfe", "\xed\xa0\x80", "\xf0\x9f\x92", "\\xff",
	"<script>alert(1)", "[red]x[blue]:smile:", "%s%n{}", "\xf3\xa0\x81\x81", "\xef\xbb\xbf", "",
};

static const char *const threads[] = {
	"\x1b]0;owned\x07", "\x1b[2J\x1b[H", "a\nb\rc\td", "\x01\x7f", "\xe2\x80\xae" "cod.exe", "\xe2\x81\xa6x", "\xff\xfe",
	"cut\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae", "<b>\"',;", "", " ",
};

static void *work(void *name)
{
	char path[300];
	long number = (const char *const *)name - threads;

	snprintf(path, sizeof(path), "thread-%ld", number);
	MUST(prctl(PR_SET_NAME, threads[number]));
	MUST(close(MUST(open(path, O_CREAT | O_RDWR, 0600))));
	MUST(unlink(path));
	return NULL;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_CREAT | O_RDWR, 0600);

		if (!*files[i]) {
			FAILS(ENOENT, fd);
			continue;
		}
		MUST(fd);
		MUST(write(fd, "x", 1));
		MUST(close(fd));
		MUST(unlink(files[i]));
	}
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		pthread_t thread;

		MUST(-pthread_create(&thread, NULL, work, (void *)&threads[i]));
		MUST(-pthread_join(thread, NULL));
	}
	return 0;
}
