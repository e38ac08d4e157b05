"""Records made of what /proc answers (see proc_pid_fd(5), proc_pid_cwd(5), proc_pid_comm(5))."""

from libc.errno cimport ENOENT, errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset
from posix.fcntl cimport O_CLOEXEC, O_RDONLY, open as c_open
from posix.unistd cimport F_OK, access, close as c_close, read as c_read, readlink

from tracer._fast.events cimport (
    TRACER_COMM, TRACER_CWD_FD, TRACER_FROM_PROC, TRACER_HAS_NAME, TRACER_NAME, TRACER_NAME_TEXT, comm_body,
    event_header, name_body, name_section,
)
from tracer._fast.paths cimport PATH_LIMIT


cdef const char *ask_name(Answers *answers, uint32_t tgid, uint32_t tid, int32_t fd, uint64_t now_ns) noexcept nogil:
    """A name record of what a descriptor (or the working directory) is called; NULL without an answer."""
    cdef char link[64]
    write_link(link, tgid, fd)
    return answer(answers, link, tgid, tid, fd, now_ns)


cdef void write_link(char *link, uint32_t tgid, int32_t fd) noexcept nogil:
    """Where /proc has a descriptor (or the working directory); 64 bytes are enough."""
    if fd == TRACER_CWD_FD:
        snprintf(link, 64, b"/proc/%u/cwd", tgid)
    else:
        snprintf(link, 64, b"/proc/%u/fd/%d", tgid, fd)


cdef const char *answer(Answers *answers, const char *link, uint32_t tgid, uint32_t tid, int32_t fd,
                        uint64_t now_ns) noexcept nogil:
    """A name record of what a link says; NULL if it says nothing."""
    cdef uint32_t fixed = sizeof(event_header) + sizeof(name_body) + sizeof(name_section)
    cdef char *record = answers.data + answers.used
    cdef name_body *body = <name_body *> (record + sizeof(event_header))
    cdef name_section *section = <name_section *> (record + sizeof(event_header) + sizeof(name_body))
    cdef Py_ssize_t size
    if answers.used + fixed + PATH_LIMIT + 8 > ANSWERS_BYTES:
        return NULL
    size = readlink(link, record + fixed, PATH_LIMIT)
    if size <= 0:
        return NULL
    memset(record, 0, fixed)
    fill_header(<event_header *> record, TRACER_NAME, TRACER_HAS_NAME, tgid, tid, now_ns, fixed + <uint32_t> size)
    body.fd = fd
    section.kind = TRACER_NAME_TEXT
    section.len = <uint16_t> size
    add_record(answers, fixed + <uint32_t> size)
    return record


cdef const char *ask_comm(Answers *answers, uint32_t tgid, uint32_t tid, uint64_t now_ns) noexcept nogil:
    """A comm record of a thread's name; NULL without an answer."""
    cdef uint32_t whole = sizeof(event_header) + sizeof(comm_body)
    cdef char path[64]
    cdef char *record = answers.data + answers.used
    cdef comm_body *body = <comm_body *> (record + sizeof(event_header))
    cdef Py_ssize_t size
    cdef int fd
    if answers.used + whole > ANSWERS_BYTES:
        return NULL
    snprintf(path, sizeof(path), b"/proc/%u/task/%u/comm", tgid, tid)
    fd = c_open(path, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return NULL
    memset(record, 0, whole)
    size = c_read(fd, body.comm, sizeof(body.comm))
    c_close(fd)
    if size < 1:
        return NULL
    body.comm[size - 1] = 0  # the newline
    fill_header(<event_header *> record, TRACER_COMM, 0, tgid, tid, now_ns, whole)
    add_record(answers, whole)
    return record


cdef bint is_gone(uint32_t tgid) noexcept nogil:
    """Whether a process has ended and been waited for, so that /proc can't know anything of it any more."""
    cdef char path[32]
    snprintf(path, sizeof(path), b"/proc/%u", tgid)
    return access(path, F_OK) < 0 and errno == ENOENT


cdef void fill_header(event_header *header, uint8_t kind, uint8_t flags, uint32_t tgid, uint32_t tid, uint64_t now_ns,
                      uint32_t size) noexcept nogil:
    header.time_ns = now_ns
    header.tgid = tgid
    header.tid = tid
    header.size = <uint16_t> size
    header.type = kind
    header.flags = flags | TRACER_FROM_PROC


cdef void add_record(Answers *answers, uint32_t size) noexcept nogil:
    answers.used += size
    while answers.used % 8:
        answers.data[answers.used] = 0
        answers.used += 1
