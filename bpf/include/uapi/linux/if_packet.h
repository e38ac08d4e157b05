/* Empty: bcc's helpers.h includes it for network programs. */
