/* Empty: bcc's helpers.h includes it for PAGE_SIZE, which our linux/types.h has. */
