/* A server renames folders and removes files by itself: the kernel learns of it when somebody looks a name up, and all
 * below is called something else from then on, what is mounted there as well.
 * strace could not watch: it looks names up, and stops the server. Names may have more than 255 bytes.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include "check.h"
#include "fuse.h"
#include "tell.h"

#define FAR 2000
#define TURNS 4

enum { OUTER = 2, INNER = 3, DEEP = 4, ALONE = 5 };

struct opened {
	int alone, outer, inner, deep, far, mounted, inside;
};

/* Files, folders as they are and as the start of a path, and the working directory. */
static void use_all(const struct opened *fds)
{
	use(fds->alone);
	use(fds->outer);
	use(fds->inner);
	use(fds->deep);
	use(fds->far);
	use(fds->inside);
	miss(fds->inner);
	miss(fds->mounted);
	miss_in_cwd();
}

static void use_in_a_child(const struct opened *fds)
{
	int child = MUST(fork());

	if (child == 0) {
		use_all(fds);
		_exit(0);
	}
	reap(child);
}

/* On the server; the kernel is led to it from the working directory. */
static void rename_outer(struct node *nodes, const char *name)
{
	struct stat status;
	char path[32];

	strcpy(nodes[OUTER].name, name);
	snprintf(path, sizeof(path), "../../%s", name);
	MUST(stat(path, &status));
}

/* The call that fails is the one that moves the folder. */
static void rename_by_a_failing_call(struct node *nodes, int fd, const char *name)
{
	char path[32];

	strcpy(nodes[OUTER].name, name);
	snprintf(path, sizeof(path), "/../%s/missing", name);
	tell_fd("openat", fd, path);
	FAILS(ENOENT, openat(fd, path + 1, O_RDONLY));
}

static void open_all(struct opened *fds, const char *deep)
{
	fds->alone = MUST(open("top/alone", O_RDONLY));
	fds->outer = MUST(open("top/one", O_RDONLY | O_DIRECTORY));
	fds->inner = MUST(open("top/one/inner", O_RDONLY | O_DIRECTORY));
	fds->deep = MUST(openat(fds->inner, deep, O_RDONLY));
	fds->far = MUST(dup2(fds->deep, FAR));
	MUST(chdir("top/one/inner"));
	MUST(mount("none", ".", "tmpfs", 0, NULL));
	fds->mounted = MUST(open("../inner", O_RDONLY | O_DIRECTORY));
	fds->inside = MUST(openat(fds->mounted, "inside", O_CREAT | O_RDWR, 0600));
}

static void close_all(const struct opened *fds)
{
	MUST(close(fds->alone));
	MUST(close(fds->outer));
	MUST(close(fds->inner));
	MUST(close(fds->deep));
	MUST(close(fds->far));
	MUST(close(fds->mounted));
	MUST(close(fds->inside));
}

int main(void)
{
	struct rlimit most = {.rlim_cur = FAR + 1, .rlim_max = FAR + 1};
	struct node *nodes = new_nodes();
	char home[4096], deep[NAME_BYTES] = {};
	struct opened fds;
	struct stat status;
	int server;

	begin_to_tell();
	MUST(setrlimit(RLIMIT_NOFILE, &most));
	MUST(getcwd(home, sizeof(home)) ? 0 : -1);
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mkdir("top", 0700));
	set_node(nodes, OUTER, 1, "one", 1);
	set_node(nodes, INNER, OUTER, "inner", 1);
	set_node(nodes, DEEP, INNER, memset(deep, 'd', sizeof(deep) - 1), 0);
	set_node(nodes, ALONE, 1, "alone", 0);
	server = serve_on("top", nodes);
	open_all(&fds, deep);
	use_all(&fds);
	for (int turn = 0; turn < TURNS; turn++) {
		rename_outer(nodes, turn & 1 ? "one" : "two");
		use_all(&fds);
		use_in_a_child(&fds);
		rename_by_a_failing_call(nodes, fds.outer, turn & 1 ? "three" : "four");
		use_all(&fds);
	}
	nodes[ALONE].parent = 0;
	use(fds.alone);
	FAILS(ENOENT, stat("../../alone", &status));
	use(fds.alone);
	close_all(&fds);
	MUST(chdir(home));
	MUST(umount2("top", MNT_DETACH)); /* which ends the server */
	reap(server);
	return 0;
}
