/* Forced in front of every program by bcc, which refuses a kernel whose configuration lacks the bpf system call. */
#define CONFIG_BPF_SYSCALL 1
