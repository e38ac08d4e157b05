/* Empty: bcc's helpers.h includes it after bcc's own, fuller copy of the same interface. */
