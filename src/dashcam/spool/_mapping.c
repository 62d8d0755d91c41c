/* A file that one process fills through mapped memory, where nothing that is done to the file ends the process.

   A store into mapped memory raises SIGBUS when the file was truncated or the disk has no block for the page. Each copy
   sets a way out before it begins; the handler takes it, and the file counts as lost. A SIGBUS that is not of a copy
   goes to the handler before this one.

   A SIGBUS that a thread blocks, or that has another handler, would end the process. So `fill` looks before it copies:
   it unblocks the signal for the copy, and puts the handler back in front of one that came later. Looking costs two
   system calls, so what it found counts for some microseconds more, for the same thread in the same page. Only a
   process that blocks the signal between two lines, within these microseconds, while another program truncates the
   file in the same microseconds, would not be seen; after the first surprise each copy looks.

   The lock is an open file description lock where there are such (Linux). The mapping alone holds the description: the
   descriptor is closed at once, so neither `closerange` nor closing another descriptor of the file drops the lock, and
   a forked child, which does not get the mapping, does not keep it.

   The ranges and the handler are of the process, as signals are, and are changed by atomic steps only; all else is of
   one interpreter and used under its lock. The module is optional: without it, appended.py writes line by line, and a
   log call takes longer. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the signal handler knows of a mapping. Never freed, because a handler may read it at any moment; used again. */
typedef struct Range {
    struct Range *next;
    char *begin; /* NULL in a forked child, and when it is unmapped */
    size_t length;
    size_t limit; /* the bytes that may be filled */
    size_t end;   /* the bytes that are filled */
    size_t lines;
    int is_lost;
    int is_used;

    pthread_t filler;          /* the thread that copies, while it `is_filling` */
    volatile int is_filling;   /* then a fault of this thread takes the way out */
    volatile int is_unblocked; /* the thread blocks SIGBUS, and does not while it copies */
    volatile int held_code;    /* of a signal that was sent meanwhile, and is to be sent again */
    sigjmp_buf way_out;

    pthread_t seen_thread; /* the thread that was found able to take a fault, */
    size_t seen_page;      /* in this page, */
    uint64_t seen_at;      /* then */
} Range;

typedef struct {
    PyObject_HEAD
    Range *range;
    int kept_fd; /* where the lock needs a descriptor */
} Mapping;

typedef struct Former {
    struct Former *next;
    struct sigaction action;
} Former;

enum { NOT_SENT = 1 }; /* no `si_code` of a signal that a process sends is greater than 0 */
enum { MAX_SURPRISES = 2 }; /* of handlers: a program that enables its faulthandler once is no reason to look for ever */
static Range *ranges;
static Former *formers;                 /* all handlers that were there before ours */
static Former *previous;                /* the last one of them */
static int surprises;                   /* handlers that came after ours */
static int is_any_blocked;              /* a thread was seen that blocks SIGBUS */
static volatile char *is_begun;         /* a byte that is zero in a forked child, however it was forked */
static pthread_once_t begun = PTHREAD_ONCE_INIT;
static uintptr_t page_bytes;

/* A clock that costs next to nothing; it may jump. */
#if defined(__x86_64__) || defined(__i386__)
enum { MAX_AGE = 20000 }; /* 5 to 10 microseconds */

static uint64_t
ticks(void)
{
    return __builtin_ia32_rdtsc();
}
#else
enum { MAX_AGE = 7000 };

static uint64_t
ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

/* The range that this thread fills; NULL if it does not. */
static Range *
filled_here(void)
{
    for (Range *range = __atomic_load_n(&ranges, __ATOMIC_ACQUIRE); range != NULL; range = range->next)
        if (range->is_filling && pthread_equal(range->filler, pthread_self()))
            return range;
    return NULL;
}

/* A SIGBUS that is not of a copy: as if our handler were not there. */
static void
pass_on(int number, siginfo_t *info, void *context)
{
    static void *volatile last_address;
    static volatile int repeated, passing;
    Former *former = __atomic_load_n(&previous, __ATOMIC_ACQUIRE);
    const struct sigaction *action = &former->action;
    repeated = info->si_code > 0 && info->si_addr == last_address ? repeated + 1 : 0;
    last_address = info->si_addr;
    if (repeated > 2) { /* the handler before this one does not help: end as without any */
        signal(SIGBUS, SIG_DFL);
        return;
    }
    if (passing && info->si_code <= 0 && info->si_pid == getpid()) {
        /* Python's faulthandler, enabled between two of our files, has reported the fault and raises it again. */
        signal(SIGBUS, SIG_DFL);
        raise(SIGBUS);
        return;
    }
    passing++;
    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(number, info, context);
    } else if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        action->sa_handler(number);
    } else if (info->si_code > 0 || action->sa_handler == SIG_DFL) {
        signal(SIGBUS, SIG_DFL);
        if (info->si_code <= 0)
            raise(SIGBUS);
    }
    passing--;
}

static void
on_bus_error(int number, siginfo_t *info, void *context)
{
    Range *range = filled_here();
    int saved = errno;
    if (range != NULL && info->si_code > 0) {
        char *address = info->si_addr;
        if (address >= range->begin && address < range->begin + range->length) {
            if (context != NULL) /* a handler that passed this on may have blocked more */
                pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
            siglongjmp(range->way_out, 1);
        }
    } else if (range != NULL && range->is_unblocked) {
        range->held_code = info->si_code; /* somebody sent it, and the thread does not take it */
        return;
    } else if (range != NULL && info->si_pid == getpid()) {
        return; /* Python's faulthandler passes a fault on with raise(): going back repeats it with its address. */
    }
    pass_on(number, info, context);
    errno = saved;
}

static int
is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_bus_error;
}

/* What is known of a handler; NULL without memory. */
static Former *
former_of(const struct sigaction *action)
{
    for (Former *known = __atomic_load_n(&formers, __ATOMIC_ACQUIRE); known != NULL; known = known->next)
        if (known->action.sa_flags == action->sa_flags && known->action.sa_sigaction == action->sa_sigaction)
            return known;
    Former *former = PyMem_RawCalloc(1, sizeof(Former));
    if (former != NULL) {
        former->action = *action;
        former->next = __atomic_load_n(&formers, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&formers, &former->next, former, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
    }
    return former;
}

/* Have our handler in front; 1 if another one was there, -1 with errno on failure. */
static int
install_handler(void)
{
    struct sigaction ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, current;
    if (sigaction(SIGBUS, NULL, &current) < 0)
        return -1;
    if (is_ours(&current))
        return 0;
    Former *former = former_of(&current);
    if (former == NULL) {
        errno = ENOMEM;
        return -1;
    }
    __atomic_store_n(&previous, former, __ATOMIC_RELEASE);
    return sigaction(SIGBUS, &ours, NULL) < 0 ? -1 : 1;
}

static void
forget_in_child(void)
{
    for (Range *range = ranges; range != NULL; range = range->next) {
        range->begin = NULL;
        range->limit = 0;
        range->is_filling = 0;
    }
    *is_begun = 1;
}

static void
notice_fork(void)
{
    if (!*is_begun)
        forget_in_child();
}

/* Once in a process. */
static void
begin(void)
{
    static char without_wiping;
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    is_begun = &without_wiping;
    pthread_atfork(NULL, NULL, forget_in_child);
#ifdef MADV_WIPEONFORK
    /* `_Fork` and `clone` call nothing in the child. */
    char *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, page_bytes, MADV_WIPEONFORK) == 0)
        is_begun = page;
#endif
    *is_begun = 1;
}

static Range *
take_range(void)
{
    for (Range *range = __atomic_load_n(&ranges, __ATOMIC_ACQUIRE); range != NULL; range = range->next)
        if (!__atomic_exchange_n(&range->is_used, 1, __ATOMIC_ACQ_REL))
            return range;
    Range *range = PyMem_RawCalloc(1, sizeof(Range));
    if (range == NULL)
        return NULL;
    range->is_used = 1;
    range->next = __atomic_load_n(&ranges, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&ranges, &range->next, range, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return range;
}

/* Lock a file for its writer; whether the descriptor has to stay open for that. -1 with errno on failure. */
static int
lock_file(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
#ifdef F_OFD_SETLK
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
#endif
    return fcntl(fd, F_SETLK, &lock) == 0 ? 1 : -1;
}

/* Map a locked file; MAP_FAILED with errno on failure. No other thread runs meanwhile, so none can fork. */
static char *
map_file(const char *path, size_t capacity, int *kept_fd)
{
    char *begin = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return begin;
    int is_fd_needed = lock_file(fd);
    if (is_fd_needed >= 0)
        begin = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int saved = errno;
#ifdef MADV_DONTFORK
    if (begin != MAP_FAILED)
        madvise(begin, capacity, MADV_DONTFORK);
#endif
    *kept_fd = is_fd_needed > 0 && begin != MAP_FAILED ? fd : -1;
    if (*kept_fd < 0)
        close(fd);
    errno = saved;
    return begin;
}

static PyObject *Mapping_close(Mapping *, PyObject *);

static int
Mapping_init(Mapping *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"path", "capacity", NULL};
    PyObject *path;
    Py_ssize_t capacity;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O&n", names, PyUnicode_FSConverter, &path, &capacity))
        return -1;
    Py_XDECREF(Mapping_close(self, NULL)); /* of a former call */
    char *begin = MAP_FAILED;
    Range *range = take_range();
    if (range == NULL)
        errno = ENOMEM;
    else if (install_handler() >= 0)
        begin = map_file(PyBytes_AS_STRING(path), (size_t)capacity, &self->kept_fd);
    if (begin == MAP_FAILED) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        if (range != NULL)
            __atomic_store_n(&range->is_used, 0, __ATOMIC_RELEASE);
    } else {
        range->length = (size_t)capacity;
        range->limit = range->end = range->lines = 0;
        range->is_lost = range->is_filling = range->is_unblocked = 0;
        range->held_code = NOT_SENT;
        range->seen_page = SIZE_MAX;
        range->begin = begin;
        self->range = range;
    }
    Py_DECREF(path);
    return begin == MAP_FAILED ? -1 : 0;
}

static PyObject *
Mapping_close(Mapping *self, PyObject *Py_UNUSED(none))
{
    notice_fork();
    Range *range = self->range;
    if (range != NULL) {
        char *begin = range->begin;
        self->range = NULL;
        range->limit = 0;
        range->begin = NULL;
        if (begin != NULL) {
            munmap(begin, range->length);
            if (self->kept_fd >= 0)
                close(self->kept_fd);
        }
        __atomic_store_n(&range->is_used, 0, __ATOMIC_RELEASE);
    }
    Py_RETURN_NONE;
}

static void
Mapping_dealloc(Mapping *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(Mapping_close(self, NULL));
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int
is_seen(const Range *range, size_t at, size_t count)
{
    return !is_any_blocked && surprises < MAX_SURPRISES && pthread_equal(range->seen_thread, pthread_self())
        && at / page_bytes == range->seen_page && (at + count - 1) / page_bytes == range->seen_page
        && ticks() - range->seen_at < MAX_AGE;
}

/* Have a fault of this thread come to our handler. */
static void
look(Range *range, size_t at, size_t count)
{
    sigset_t signals;
    if (install_handler() > 0)
        surprises++;
    pthread_sigmask(SIG_BLOCK, NULL, &signals);
    if (sigismember(&signals, SIGBUS)) {
        sigemptyset(&signals);
        sigaddset(&signals, SIGBUS);
        is_any_blocked = range->is_unblocked = 1; /* before it is: a signal may wait */
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    }
    range->seen_thread = pthread_self();
    range->seen_page = (at + count - 1) / page_bytes;
    range->seen_at = ticks();
}

/* Block SIGBUS again, and have what was sent meanwhile wait as it would have. */
static void
look_away(Range *range)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    range->is_unblocked = 0;
    if (range->held_code == SI_TKILL)
        pthread_kill(pthread_self(), SIGBUS);
    else if (range->held_code != NOT_SENT)
        kill(getpid(), SIGBUS);
    range->held_code = NOT_SENT;
}

/* Copy a text, or zeros, into memory that may not be there: then the range is lost. */
static void
fill(Range *range, size_t at, const char *text, size_t count)
{
    if (count == 0)
        return;
    range->filler = pthread_self();
    range->is_filling = 1;
    if (!is_seen(range, at, count))
        look(range, at, count);
    if (sigsetjmp(range->way_out, 0) == 0) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (text != NULL)
            memcpy(range->begin + at, text, count);
        else
            memset(range->begin + at, 0, count);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else
        range->is_lost = 1;
    if (range->is_unblocked)
        look_away(range);
    range->is_filling = 0;
}

/* Take half a line back, page by page: one of them is not there. */
static void
clear(Range *range, size_t at, size_t end)
{
    while (at < end) {
        size_t next = (at / page_bytes + 1) * page_bytes;
        fill(range, at, NULL, (next < end ? next : end) - at);
        at = next;
    }
}

static PyObject *
Mapping_append(Mapping *self, PyObject *line)
{
    Range *range = self->range;
    if (!PyBytes_Check(line))
        return PyErr_Format(PyExc_TypeError, "a line is bytes, not %s", Py_TYPE(line)->tp_name);
    size_t count = (size_t)PyBytes_GET_SIZE(line);
    notice_fork();
    if (range == NULL || range->end > range->limit || count > range->limit - range->end) {
        PyErr_SetString(PyExc_ValueError, "no room for the line");
        return NULL;
    }
    size_t at = range->end;
    range->end += count;
    range->lines++;
    fill(range, at, PyBytes_AS_STRING(line), count);
    if (range->is_lost) {
        clear(range, at, at + count);
        range->limit = 0;
        range->end = at;
        range->lines--;
        PyErr_SetString(PyExc_ValueError, "the file was changed by somebody else, or the disk is full");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Mapping_put(Mapping *self, PyObject *const *arguments, Py_ssize_t count)
{
    Range *range = self->range;
    if (count != 2 || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "put takes an offset and bytes");
        return NULL;
    }
    size_t at = PyLong_AsSize_t(arguments[0]), bytes = (size_t)PyBytes_GET_SIZE(arguments[1]);
    if (at == (size_t)-1 && PyErr_Occurred())
        return NULL;
    notice_fork();
    if (range == NULL || range->begin == NULL || at > range->end || bytes > range->end - at) {
        PyErr_SetString(PyExc_ValueError, "nothing stands there yet");
        return NULL;
    }
    fill(range, at, PyBytes_AS_STRING(arguments[1]), bytes);
    Py_RETURN_NONE;
}

static PyObject *
Mapping_allow(Mapping *self, PyObject *limit)
{
    size_t bytes = PyLong_AsSize_t(limit);
    if (bytes == (size_t)-1 && PyErr_Occurred())
        return NULL;
    if (self->range != NULL && self->range->begin != NULL && !self->range->is_lost && bytes <= self->range->length)
        self->range->limit = bytes;
    Py_RETURN_NONE;
}

#define GETTER(name, make)                                                                                           \
    static PyObject *Mapping_get_##name(Mapping *self, void *Py_UNUSED(closure))                                     \
    {                                                                                                                \
        return make(self->range == NULL ? 0 : self->range->name);                                                    \
    }
GETTER(end, PyLong_FromSize_t)
GETTER(lines, PyLong_FromSize_t)
GETTER(limit, PyLong_FromSize_t)
GETTER(is_lost, PyBool_FromLong)

static PyMethodDef Mapping_methods[] = {
    {"append", (PyCFunction)Mapping_append, METH_O, "Fill in a line; ValueError if there is no room or the file is lost."},
    {"put", (PyCFunction)(void (*)(void))Mapping_put, METH_FASTCALL, "Replace bytes before the end."},
    {"allow", (PyCFunction)Mapping_allow, METH_O, "Set how many bytes may be filled; the file must be that long."},
    {"close", (PyCFunction)Mapping_close, METH_NOARGS, "Unmap the file, which drops the lock."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Mapping_attributes[] = {
    {"end", (getter)Mapping_get_end, NULL, "The number of bytes that are filled.", NULL},
    {"lines", (getter)Mapping_get_lines, NULL, "The number of lines that were appended.", NULL},
    {"limit", (getter)Mapping_get_limit, NULL, "The number of bytes that may be filled.", NULL},
    {"is_lost", (getter)Mapping_get_is_lost, NULL, "Whether a page could not be written.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Mapping_slots[] = {
    {Py_tp_init, Mapping_init},       {Py_tp_dealloc, Mapping_dealloc},
    {Py_tp_methods, Mapping_methods}, {Py_tp_getset, Mapping_attributes},
    {Py_tp_doc, "A locked file, filled through mapped memory."}, {0, NULL},
};

static PyType_Spec Mapping_spec = {
    "dashcam.spool._mapping.Mapping", sizeof(Mapping), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, Mapping_slots};

static int
prepare(PyObject *module)
{
    pthread_once(&begun, begin);
    PyObject *type = PyType_FromModuleAndSpec(module, &Mapping_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Mapping", type);
    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, prepare},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED}, /* the lock makes a copy and the step of the end one */
#endif
    {0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_mapping", .m_slots = slots};

PyMODINIT_FUNC
PyInit__mapping(void)
{
    return PyModuleDef_Init(&module);
}
