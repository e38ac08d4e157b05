/* shared_meanwhile SHARER SHARED USE: another thread, or a process ("thread", "process"), gives a number to one file
 * and the other, or goes into one directory and the other ("number", "directory"), while this one uses it by calls that
 * all succeed, or all fail ("succeed", "fail"). What each returned tells which it was:
 *
 *	pread	10 or 20: the file of so many bytes; EFAULT: the file "10"; EISDIR: the directory "d20"
 *	readlink	10 or 20: the link of so many bytes in "d10" or "d20"; EINVAL: the file in "d10"; ENOENT: "d20"
 *
 * Tells both pids and waits for a line, or the end of the input. SHARER is there before that, unless a fourth argument
 * says "later". With a last one "slowly" it takes its time, so that some uses have no change in them although no tracer
 * holds it up.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"

#define NUMBER 50
#define ROUNDS 20000

static char stack[1 << 16] __attribute__((aligned(16)));
static int numbers, failing, files[2];
static unsigned longest_pause = 4000;
static char directories[2][4096];

static void make(int which, const char *directory, const char *file, int size)
{
	static const char text[] = "12345678901234567890";
	char target[21];
	int fd = MUST(open(file, O_CREAT | O_RDWR, 0600));

	MUST(write(fd, text, size));
	MUST(mkdir(directory, 0700));
	MUST(chdir(directory));
	snprintf(target, sizeof(target), "%.*s", size, text);
	MUST(symlink(target, "link"));
	MUST(getcwd(directories[which], sizeof(directories[which])) ? 0 : -1);
	files[which] = failing && which ? MUST(open(".", O_RDONLY | O_DIRECTORY)) : fd;
	MUST(chdir(".."));
}

/* Neither in step with the user's calls nor without a pause. */
static int change(void *unused)
{
	unsigned random = 1;

	(void)unused;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	MUST(prctl(PR_SET_NAME, "changer"));
	for (int i = 0;; i = !i) {
		if (numbers)
			MUST(dup2(files[i], NUMBER));
		else
			MUST(chdir(directories[i]));
		random = random * 1103515245 + 12345;
		for (volatile unsigned spin = (random >> 8) % longest_pause; spin > 0; spin--)
			;
	}
	return 0;
}

static void *change_in_thread(void *unused)
{
	change(unused);
	return unused;
}

static void use(void)
{
	static void *volatile nowhere = (void *)1;
	char bytes[64];

	if (numbers)
		pread(NUMBER, failing ? nowhere : bytes, sizeof(bytes), 0);
	else
		readlink(failing ? "file" : "link", bytes, sizeof(bytes));
}

static int share(int process)
{
	int flags = (numbers ? CLONE_FILES : CLONE_FS) | SIGCHLD;
	pthread_t thread;

	if (process)
		return MUST(clone(change, stack + sizeof(stack), flags, NULL));
	MUST(-pthread_create(&thread, NULL, change_in_thread, NULL));
	return 0;
}

int main(int argc, char **argv)
{
	int process = strcmp(argv[1], "process") == 0, later = argc > 4 && strcmp(argv[4], "later") == 0, other = 0;
	char line[8];

	if (strcmp(argv[argc - 1], "slowly") == 0)
		longest_pause = 40000;
	numbers = strcmp(argv[2], "number") == 0;
	failing = strcmp(argv[3], "fail") == 0;
	make(0, "d10", "10", 10);
	make(1, "d20", "20", 20);
	MUST(close(MUST(open("d10/file", O_CREAT | O_RDWR, 0600))));
	MUST(dup2(files[0], NUMBER));
	MUST(chdir(directories[0]));
	if (!later)
		other = share(process);
	printf("%d %d\n", getpid(), other);
	fflush(stdout);
	(void)!fgets(line, sizeof(line), stdin);
	if (later)
		other = share(process);
	for (int i = 0; i < ROUNDS; i++)
		use();
	if (process) {
		MUST(kill(other, SIGKILL));
		MUST(waitpid(other, NULL, 0));
	}
	return 0;
}
