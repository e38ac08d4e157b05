/* A file system in user space that serves a table of names, without a library: linux/fuse.h over /dev/fuse. */
#ifndef FUSE_H
#define FUSE_H

#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "check.h"

#define NODES 16
#define NAME_BYTES 301 /* and its NUL; the kernel takes up to 1024 of FUSE, where others end at 255 */
#define ANSWER_BYTES 512

/* A file or folder. Its number is its place in the table; 1 is the root, and 0 is not used. */
struct node {
	int parent; /* 0: removed */
	int is_folder;
	char name[NAME_BYTES];
};

static inline void describe(const struct node *nodes, uint64_t number, struct fuse_attr *attr)
{
	attr->ino = number;
	attr->nlink = 1;
	attr->mode = nodes[number].is_folder ? S_IFDIR | 0755 : S_IFREG | 0644;
}

/* Nothing of what is answered may be kept: the kernel asks again for each name. */
static inline int look_up(const struct node *nodes, uint64_t parent, const char *name, struct fuse_entry_out *entry)
{
	for (int number = 2; number < NODES; number++) {
		if (nodes[number].parent != (int)parent || strcmp(nodes[number].name, name) != 0)
			continue;
		entry->nodeid = number;
		describe(nodes, number, &entry->attr);
		return 0;
	}
	return -ENOENT;
}

/* Fills in what is asked for; its size. */
static inline int answer(const struct node *nodes, const struct fuse_in_header *asked, struct fuse_out_header *head)
{
	union {
		struct fuse_init_out init;
		struct fuse_attr_out attr;
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *body = (void *)(head + 1);

	switch (asked->opcode) {
	case FUSE_INIT:
		body->init.major = FUSE_KERNEL_VERSION;
		body->init.minor = 31;
		body->init.max_write = 4096;
		return sizeof(body->init);
	case FUSE_LOOKUP:
		head->error = look_up(nodes, asked->nodeid, (const char *)(asked + 1), &body->entry);
		return head->error ? 0 : sizeof(body->entry);
	case FUSE_GETATTR:
		describe(nodes, asked->nodeid, &body->attr.attr);
		return sizeof(body->attr);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return sizeof(body->open);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return 0;
	}
	head->error = -ENOSYS;
	return 0;
}

static inline void serve(const struct node *nodes, int device)
{
	static char asked[FUSE_MIN_READ_BUFFER] __attribute__((aligned(8)));

	for (;;) {
		char given[ANSWER_BYTES] __attribute__((aligned(8))) = {};
		struct fuse_out_header *head = (struct fuse_out_header *)given;
		const struct fuse_in_header *request = (const struct fuse_in_header *)asked;

		if (read(device, asked, sizeof(asked)) < 0) {
			if (errno == ENODEV) /* it has been unmounted */
				_exit(0);
			continue;
		}
		if (request->opcode == FUSE_FORGET || request->opcode == FUSE_BATCH_FORGET)
			continue;
		head->unique = request->unique;
		head->len = sizeof(*head) + answer(nodes, request, head);
		if (write(device, given, head->len) < 0 && errno != ENOENT) /* who asked may have been interrupted */
			_exit(74);
	}
}

/* Mounts the table, which the caller may change at any time, and gives the number of the process that serves it. */
static inline int serve_on(const char *folder, const struct node *nodes)
{
	int device = MUST(open("/dev/fuse", O_RDWR | O_CLOEXEC)), server;
	char options[64];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	MUST(mount("served", folder, "fuse", 0, options));
	server = MUST(fork());
	if (server == 0)
		serve(nodes, device);
	MUST(close(device));
	return server;
}

static inline struct node *new_nodes(void)
{
	void *nodes =
		mmap(NULL, NODES * sizeof(struct node), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(nodes == MAP_FAILED ? -1 : 0);
	((struct node *)nodes)[1].is_folder = 1;
	return nodes;
}

static inline void set_node(struct node *nodes, int number, int parent, const char *name, int is_folder)
{
	nodes[number] = (struct node){.parent = parent, .is_folder = is_folder};
	strcpy(nodes[number].name, name);
}

#endif
