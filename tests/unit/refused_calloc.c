/* Loaded before the C library, refuses memory for one object of a size: `refused_size`, 0 for none. */
#include <stddef.h>

size_t refused_size;
size_t refusals;

void *__libc_calloc(size_t count, size_t size);

void *calloc(size_t count, size_t size)
{
	if (refused_size && count == 1 && size == refused_size) {
		refusals++;
		return NULL;
	}
	return __libc_calloc(count, size);
}
