/* Loaded before the C library, refuses to make memory of a size: `refused_size`, 0 for none. */
#include <stddef.h>

size_t refused_size;
size_t refusals;

void *__libc_realloc(void *memory, size_t size);

void *realloc(void *memory, size_t size)
{
	if (refused_size && size == refused_size) {
		refusals++;
		return NULL;
	}
	return __libc_realloc(memory, size);
}
