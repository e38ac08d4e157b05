/* Names of bytes that upset readers: spaces, line ends, tabs, quotes, backslashes, brackets, shell signs, control
 * characters, UTF-8 of two to four bytes, and bytes that are not UTF-8 at all. As files, directories and link targets.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static const char *const names[] = {
	" ",
	" leading and trailing ",
	"line\nend\n",
	"\ttab\rreturn",
	"\"double\" 'single' `back`",
	"back\\slash\\x41\\n",
	"<angle> [square] {curly} (round)",
	"$HOME;rm -rf *?",
	"\x01\x1b[31m\x7f",
	"-dash",
	"comma, = equals, 3<tmp>(deleted)",
	"umlaut \xc3\xa4, euro \xe2\x82\xac, face \xf0\x9f\x98\x80",
	"latin1 \xe4\xf6\xfc",
	"broken \xc3",
	"\x80\xbf\xfe\xff",
	"surrogate \xed\xa0\x80 overlong \xc0\xaf beyond \xf4\x90\x80\x80",
	"half \xe2\x82 euro",
};

static void use(const char *name)
{
	struct stat status;
	char other[300], text[300];
	int fd = MUST(open(name, O_CREAT | O_RDWR, 0600));

	MUST(write(fd, name, strlen(name)));
	MUST(close(fd));
	snprintf(other, sizeof(other), "%s.link", name);
	MUST(symlink(name, other));
	MUST(readlink(other, text, sizeof(text)));
	MUST(stat(other, &status));
	MUST(rename(other, "renamed"));
	MUST(rename("renamed", other));
	MUST(unlink(other));
	snprintf(other, sizeof(other), "%s.missing", name);
	FAILS(ENOENT, open(other, O_RDONLY));
	fd = MUST(open(name, O_RDONLY));
	MUST(unlink(name));
	MUST(read(fd, text, 1));
	MUST(close(fd));
}

static void use_as_directory(const char *name, int top)
{
	char cwd[4096];
	int dir;

	MUST(mkdir(name, 0755));
	dir = MUST(open(name, O_RDONLY | O_DIRECTORY));
	MUST(close(MUST(openat(dir, "inside", O_CREAT | O_RDWR, 0600))));
	MUST(chdir(name));
	getcwd(cwd, sizeof(cwd));
	MUST(access("inside", F_OK));
	MUST(fchdir(top));
	MUST(close(dir));
}

int main(void)
{
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY));

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		use(names[i]);
		use_as_directory(names[i], top);
	}
	return 0;
}
