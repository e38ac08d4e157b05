/* Empty: bcc includes it in front of every program for the registers of a kprobe; we attach to none. */
