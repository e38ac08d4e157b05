/* Loaded before the C library, refuses memory for anything large: from `refused_from` bytes on, 0 for nothing. */
#include <stddef.h>

size_t refused_from;
size_t refusals;

void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
	if (refused_from && size >= refused_from) {
		refusals++;
		return NULL;
	}
	return __libc_malloc(size);
}
