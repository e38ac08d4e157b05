/* A file that is opened by its handle, on a file system that has been mounted anew since then: no folder is known that it
 * lies in. With "save" as the first argument the handle is written to a file, else it is used; the second one is the file
 * with the handle, the third one the folder where the file system is.
 */
#define _GNU_SOURCE
#include "check.h"
#include "tell.h"

struct saved {
	struct file_handle handle;
	char bytes[MAX_HANDLE_SZ];
};

static void save(const char *path)
{
	struct saved saved = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int fd = MUST(open(path, O_CREAT | O_WRONLY, 0600)), mount;

	MUST(close(MUST(open("file", O_CREAT | O_RDWR, 0600))));
	MUST(name_to_handle_at(AT_FDCWD, "file", &saved.handle, &mount, 0));
	MUST(write(fd, &saved, sizeof(saved)));
}

int main(int argc, char **argv)
{
	struct saved saved;
	int top, fd, named;

	MUST(argc == 4 ? 0 : -1);
	MUST(chdir(argv[3]));
	if (strcmp(argv[1], "save") == 0) {
		save(argv[2]);
		return 0;
	}
	begin_to_tell();
	fd = MUST(open(argv[2], O_RDONLY));
	MUST(read(fd, &saved, sizeof(saved)));
	top = MUST(open(".", O_RDONLY | O_DIRECTORY));
	fd = MUST(open_by_handle_at(top, &saved.handle, O_RDONLY));
	use(fd);
	named = MUST(open("file", O_RDONLY));
	use(named);
	use(fd);
	MUST(unlink("file"));
	use(named);
	use(fd);
	return 0;
}
