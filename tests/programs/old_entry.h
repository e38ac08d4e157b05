/* Calls by the entry for programs of 32 bits, which programs of 64 bits can use, too. Where calls of 64 bits have their
 * arguments lies something else, which must never be shown: `forged`.
 */
#ifndef OLD_ENTRY_H
#define OLD_ENTRY_H

#include <sys/mman.h>
#include "check.h"

static char *low; /* memory whose addresses have 32 bits */

static inline void map_low(void)
{
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	MUST(low == MAP_FAILED ? -1 : 0);
}

static inline long in_low(size_t offset, const char *text)
{
	return (long)strcpy(low + offset, text);
}

static inline long old_entry_of_three(long number, long first, long second, long third)
{
	register const char *rdi __asm__("rdi") = "/forged";
	register const char *rsi __asm__("rsi") = "/forged-too";
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(first), "c"(second), "d"(third), "r"(rdi), "r"(rsi)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static inline long old_entry(long number, long first, long second)
{
	return old_entry_of_three(number, first, second, 0);
}

#endif
