/* Empty: bcc's helpers.h includes it, none of our programs calls it. */
