/* A file that one process fills through mapped memory, where nothing that anybody does to the file ends the process.

   A store into mapped memory raises SIGBUS when the file was truncated or the disk has no block for the page. A handler
   maps fresh memory over such a page, so the store goes on, and marks the file as lost; systemd's journal does the
   same. A SIGBUS that is not ours goes to the handler before this one.

   The lock is an open file description lock where there are such (Linux). The mapping alone holds the description: the
   descriptor is closed at once, so neither `closerange` nor closing another descriptor of the file drops the lock, and
   a forked child, which does not get the mapping, does not keep it.

   The module is optional: without it, appended.py writes line by line, and a log call takes longer. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <structmember.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
} Range;

typedef struct {
    PyObject_HEAD
    Range *range;
    int kept_fd; /* where the lock needs a descriptor */
} Mapping;

static Range *volatile ranges;
static Range *volatile filling; /* by `append` or `put`, under the interpreter lock */
static size_t page_bytes;
static struct sigaction previous;

static void
on_bus_error(int number, siginfo_t *info, void *context)
{
    static void *volatile last_address;
    static volatile int repeated, passing;
    char *address = info->si_addr;
    int saved = errno;

    if (info->si_code > 0) {
        for (Range *range = ranges; range != NULL; range = range->next) {
            char *begin = __atomic_load_n(&range->begin, __ATOMIC_ACQUIRE);
            if (begin == NULL || address < begin || address >= begin + range->length)
                continue;
            char *page = begin + (size_t)(address - begin) / page_bytes * page_bytes;
            if (mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
                break;
            range->is_lost = 1;
            errno = saved;
            return;
        }
    } else if (filling != NULL && info->si_pid == getpid()) {
        /* Python's faulthandler passes a fault on with raise(): going back repeats it with its address. */
        return;
    }
    repeated = info->si_code > 0 && address == last_address ? repeated + 1 : 0;
    last_address = address;
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
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else if (info->si_code > 0 || previous.sa_handler == SIG_DFL) {
        signal(SIGBUS, SIG_DFL);
        if (info->si_code <= 0)
            raise(SIGBUS);
    }
    passing--;
    errno = saved;
}

static int
install_handler(void)
{
    struct sigaction ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, current;
    if (sigaction(SIGBUS, NULL, &current) < 0)
        return -1;
    if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_bus_error)
        return 0;
    previous = current;
    return sigaction(SIGBUS, &ours, NULL);
}

static void
forget_in_child(void)
{
    filling = NULL;
    for (Range *range = ranges; range != NULL; range = range->next) {
        range->begin = NULL;
        range->limit = 0;
    }
}

static Range *
take_range(void)
{
    for (Range *range = ranges; range != NULL; range = range->next)
        if (!range->is_used) {
            range->is_used = 1;
            return range;
        }
    Range *range = PyMem_RawCalloc(1, sizeof(Range));
    if (range == NULL)
        return NULL;
    range->is_used = 1;
    range->next = ranges;
    __atomic_store_n(&ranges, range, __ATOMIC_RELEASE);
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

static int
Mapping_init(Mapping *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"path", "capacity", NULL};
    PyObject *path;
    Py_ssize_t capacity;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O&n", names, PyUnicode_FSConverter, &path, &capacity))
        return -1;
    /* From here to the end no other thread runs, so none can fork while the descriptor is open. */
    int fd = open(PyBytes_AS_STRING(path), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int is_fd_needed = fd < 0 ? -1 : lock_file(fd);
    char *begin = MAP_FAILED;
    if (is_fd_needed >= 0)
        begin = mmap(NULL, (size_t)capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (begin == MAP_FAILED || install_handler() < 0) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        Py_DECREF(path);
        if (begin != MAP_FAILED)
            munmap(begin, (size_t)capacity);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    Py_DECREF(path);
#ifdef MADV_DONTFORK
    madvise(begin, (size_t)capacity, MADV_DONTFORK);
#endif
    self->kept_fd = is_fd_needed ? fd : -1;
    if (!is_fd_needed)
        close(fd);
    Range *range = take_range();
    if (range == NULL) {
        munmap(begin, (size_t)capacity);
        PyErr_NoMemory();
        return -1;
    }
    range->length = (size_t)capacity;
    range->limit = range->end = range->lines = 0;
    range->is_lost = 0;
    __atomic_store_n(&range->begin, begin, __ATOMIC_RELEASE);
    self->range = range;
    return 0;
}

static PyObject *
Mapping_close(Mapping *self, PyObject *Py_UNUSED(none))
{
    Range *range = self->range;
    if (range != NULL) {
        char *begin = range->begin;
        self->range = NULL;
        range->limit = 0;
        __atomic_store_n(&range->begin, NULL, __ATOMIC_RELEASE);
        if (begin != NULL) {
            munmap(begin, range->length);
            if (self->kept_fd >= 0)
                close(self->kept_fd);
        }
        range->is_used = 0;
    }
    Py_RETURN_NONE;
}

static void
Mapping_dealloc(Mapping *self)
{
    Py_XDECREF(Mapping_close(self, NULL));
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void
copy(Range *range, size_t at, const char *text, size_t count)
{
    filling = range;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(range->begin + at, text, count);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    filling = NULL;
}

static PyObject *
Mapping_append(Mapping *self, PyObject *line)
{
    Range *range = self->range;
    if (!PyBytes_Check(line))
        return PyErr_Format(PyExc_TypeError, "a line is bytes, not %s", Py_TYPE(line)->tp_name);
    size_t count = (size_t)PyBytes_GET_SIZE(line);
    if (range == NULL || range->end > range->limit || count > range->limit - range->end) {
        PyErr_SetString(PyExc_ValueError, "no room for the line");
        return NULL;
    }
    size_t at = range->end;
    range->end += count;
    range->lines++;
    copy(range, at, PyBytes_AS_STRING(line), count);
    if (range->is_lost) {
        /* What stands in the pages that are left is half a line. */
        filling = range;
        memset(range->begin + at, 0, count);
        filling = NULL;
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
    if (range == NULL || range->begin == NULL || at > range->end || bytes > range->end - at) {
        PyErr_SetString(PyExc_ValueError, "nothing stands there yet");
        return NULL;
    }
    copy(range, at, PyBytes_AS_STRING(arguments[1]), bytes);
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

static PyTypeObject MappingType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "dashcam.spool._mapping.Mapping",
    .tp_basicsize = sizeof(Mapping),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A locked file, filled through mapped memory.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Mapping_init,
    .tp_dealloc = (destructor)Mapping_dealloc,
    .tp_methods = Mapping_methods,
    .tp_getset = Mapping_attributes,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_mapping", .m_size = -1};

PyMODINIT_FUNC
PyInit__mapping(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (PyType_Ready(&MappingType) < 0)
        return NULL;
    if (pthread_atfork(NULL, NULL, forget_in_child) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *created = PyModule_Create(&module);
    if (created != NULL && PyModule_AddObjectRef(created, "Mapping", (PyObject *)&MappingType) < 0)
        Py_CLEAR(created);
    return created;
}
