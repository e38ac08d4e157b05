"""What bpf/events.h says, for Cython: one definition for the kernel program, C and these modules."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "events.h" nogil:
    enum:
        TRACER_ABI_VERSION
        TRACER_MAX_SYSCALLS
        TRACER_MAX_ARGS
        TRACER_COMM_BYTES
        TRACER_PATH_BYTES
        TRACER_AUX_BYTES
        TRACER_CWD_FD
        TRACER_MOUNT_NAMESPACE_FD

        TRACER_ENTER
        TRACER_EXIT
        TRACER_NAME
        TRACER_FORK
        TRACER_EXEC
        TRACER_TASK_EXIT
        TRACER_COMM

        TRACER_NARGS_MASK
        TRACER_HAS_AUX
        TRACER_HAS_PATHS
        TRACER_HAS_NAME
        TRACER_FROM_PROC
        TRACER_COPY_UNSURE
        TRACER_MAY_BE_REFUSED
        TRACER_MEANT_UNSURE

        TRACER_PATH_ABSENT
        TRACER_PATH_OK
        TRACER_PATH_NULL
        TRACER_PATH_UNREADABLE
        TRACER_PATH_TRUNCATED

        TRACER_NAME_NONE
        TRACER_NAME_COMPONENTS
        TRACER_NAME_TEXT
        TRACER_NAME_PIPE
        TRACER_NAME_SOCKET
        TRACER_NAME_ANON
        TRACER_NAME_PSEUDO
        TRACER_NAME_NAMESPACE
        TRACER_NAME_DELETED
        TRACER_NAME_INCOMPLETE
        TRACER_NAME_CLOEXEC_KNOWN
        TRACER_NAME_CLOEXEC

        TRACER_AUX_NONE
        TRACER_AUX_OPEN_HOW
        TRACER_AUX_TIMESPEC
        TRACER_AUX_TIMEVAL
        TRACER_AUX_EPOLL_EVENT
        TRACER_AUX_XATTR_ARGS
        TRACER_AUX_IOVEC
        TRACER_AUX_MSGHDR
        TRACER_AUX_UTIMES
        TRACER_AUX_CWD_TEXT

        TRACER_EFFECT_NONE
        TRACER_EFFECT_OPEN
        TRACER_EFFECT_NEW_FD
        TRACER_EFFECT_DUP
        TRACER_EFFECT_DUP2
        TRACER_EFFECT_FCNTL
        TRACER_EFFECT_IOCTL
        TRACER_EFFECT_CLOSE
        TRACER_EFFECT_CLOSE_RANGE
        TRACER_EFFECT_FD_PAIR
        TRACER_EFFECT_CHDIR
        TRACER_EFFECT_FCHDIR
        TRACER_EFFECT_CHROOT
        TRACER_EFFECT_UNSHARE
        TRACER_EFFECT_EXEC
        TRACER_EFFECT_LANDLOCK
        TRACER_EFFECT_BPF
        TRACER_EFFECT_SIGNALFD
        TRACER_EFFECT_RING

        TRACER_BPF_COMMON_ATTRS

        TRACER_SIZE_INT
        TRACER_SIZE_UINT

        TRACER_BYTES_NONE
        TRACER_BYTE_RULE_PROBE
        TRACER_BYTE_RULE_RECV

        TRACER_EMPTY_NEVER
        TRACER_EMPTY_AT_FLAG
        TRACER_EMPTY_ALWAYS
        TRACER_EMPTY_NULL
        TRACER_EMPTY_FSPICK
        TRACER_EMPTY_MOVE_MOUNT

        TRACER_QUANTITY_NONE
        TRACER_QUANTITY_MMAP
        TRACER_QUANTITY_MUNMAP
        TRACER_QUANTITY_MREMAP
        TRACER_QUANTITY_BRK
        TRACER_QUANTITY_NO_SPACE
        TRACER_QUANTITY_SLEEP
        TRACER_QUANTITY_CLOCK_SLEEP
        TRACER_QUANTITY_POLL_MS
        TRACER_QUANTITY_POLL_SPEC
        TRACER_QUANTITY_EPOLL_CTL

        TRACER_RULE_KNOWN
        TRACER_RULE_WANTED
        TRACER_RULE_STATE
        TRACER_RULE_NEVER_RETURNS
        TRACER_RULE_OLD_IS_TEXT
        TRACER_RULE_LABEL

    const uint64_t TRACER_BPF_RETURNS_FD

    struct event_header:
        uint64_t time_ns
        uint32_t tgid
        uint32_t tid
        uint16_t size
        uint8_t type
        uint8_t flags
        uint16_t syscall
        uint16_t reserved

    struct exit_body:
        int64_t ret

    struct path_section:
        uint16_t len1
        uint16_t len2
        uint8_t status1
        uint8_t status2
        uint16_t reserved

    struct name_section:
        uint64_t inode
        uint32_t device
        uint16_t len
        uint8_t kind
        uint8_t status

    struct name_body:
        int32_t fd
        uint32_t reserved

    struct fork_body:
        uint32_t child_tgid
        uint32_t child_tid
        uint64_t clone_flags
        uint8_t comm[16]

    struct exec_body:
        uint32_t old_tid
        uint32_t reserved
        uint8_t comm[16]

    struct task_exit_body:
        uint32_t group_dead
        uint32_t reserved

    struct comm_body:
        uint8_t comm[16]

    struct syscall_rule:
        uint8_t flags
        uint8_t nargs
        int8_t fd_arg
        int8_t path_arg
        int8_t path2_arg
        int8_t dirfd_arg
        int8_t dirfd2_arg
        int8_t flags_arg
        int8_t size_arg
        int8_t offset_arg
        int8_t aux_arg
        int8_t nfds_arg
        int8_t timeout_arg
        uint8_t aux_kind
        uint8_t effect
        uint8_t byte_class
        uint8_t byte_rule
        uint8_t empty_path
        uint8_t quantity
        uint8_t family
        int8_t no_fd_arg
        uint8_t no_fd_bit
        uint8_t writes
        uint8_t size_type
