/* Subvolumes of btrfs that another process destroys by an ioctl, while their folders are open here. With an argument, the
 * ioctl comes by the entry for programs of 32 bits.
 */
#define _GNU_SOURCE
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"
#include "old_entry.h"

#define OLD_IOCTL 54
#define TURNS 20

static void use(int folder)
{
	struct stat status;

	for (int i = 0; i < 2; i++)
		MUST(syscall(SYS_fstat, folder, &status));
	FAILS(ENOENT, openat(folder, "missing", O_RDONLY));
}

static void destroy(int top, unsigned long command, int by_old_entry)
{
	int child = MUST(fork());

	if (child) {
		reap(child);
		return;
	}
	if (command == BTRFS_IOC_SNAP_DESTROY)
		strcpy(((struct btrfs_ioctl_vol_args *)low)->name, "volume");
	else
		strcpy(((struct btrfs_ioctl_vol_args_v2 *)low)->name, "volume");
	if (by_old_entry)
		_exit(old_entry_of_three(OLD_IOCTL, top, command, (long)low) != 0);
	MUST(ioctl(top, command, low));
	_exit(0);
}

int main(int argc, char **argv)
{
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY)), folder;
	struct btrfs_ioctl_vol_args volume = {.name = "volume"};

	(void)argv;
	map_low();
	for (int turn = 0; turn < TURNS; turn++) {
		MUST(ioctl(top, BTRFS_IOC_SUBVOL_CREATE, &volume));
		folder = MUST(open("volume", O_RDONLY | O_DIRECTORY));
		use(folder);
		destroy(top, turn & 1 ? BTRFS_IOC_SNAP_DESTROY_V2 : BTRFS_IOC_SNAP_DESTROY, argc > 1);
		use(folder);
		MUST(close(folder));
	}
	return 0;
}
