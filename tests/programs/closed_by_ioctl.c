/* An ioctl of /dev/autofs closes the descriptor whose number it finds in memory, whatever that is. Then nobody has the
 * number, and then a file that a message brings. A kernel without autofs is told of.
 */
#include <fcntl.h>
#include <linux/auto_dev-ioctl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "check.h"

static char byte;
static struct iovec part = {&byte, 1};
static char control[CMSG_SPACE(sizeof(int))];

static struct msghdr message(void)
{
	return (struct msghdr){
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
}

static void give(int socket, int fd)
{
	struct msghdr given = message();
	struct cmsghdr *head = CMSG_FIRSTHDR(&given);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	MUST(sendmsg(socket, &given, 0));
}

static void lose_and_find(int autofs, const int *pair)
{
	struct autofs_dev_ioctl request;
	struct msghdr taken = message();
	int other = MUST(open("other", O_CREAT | O_RDWR, 0600));
	int fd = MUST(open("file", O_CREAT | O_RDWR, 0600));

	MUST(pwrite(fd, "x", 1, 0));
	init_autofs_dev_ioctl(&request);
	request.ioctlfd = fd;
	MUST(ioctl(autofs, AUTOFS_DEV_IOCTL_CLOSEMOUNT, &request));
	FAILS(EBADF, pwrite(fd, "x", 1, 1));
	give(pair[0], other);
	MUST(recvmsg(pair[1], &taken, 0));
	MUST(pwrite(fd, "x", 1, 2));
}

int main(void)
{
	int autofs = open("/dev/autofs", O_RDWR), pair[2];

	if (autofs < 0) {
		puts("no autofs");
		return 0;
	}
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (int i = 0; i < 5; i++)
		lose_and_find(autofs, pair);
	return 0;
}
