/* Seeks, fails to find a file and begins processes without end, so that a trace ends in the middle of it. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	alarm(30);
	for (int fd = open("/etc/passwd", O_RDONLY);;) {
		for (int i = 0; i < 50; i++)
			lseek(fd, i - 1, SEEK_SET);
		syscall(SYS_access, "/nothing", R_OK);
		if (!fork())
			_exit(0);
		wait(NULL);
	}
}
