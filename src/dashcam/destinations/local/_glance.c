/* The first look at the lines of a block: is every letter there as such, and which lines have a needle.

   The module is optional: without a compiler, glance.py does the same, at five to ten times the time.
   tests/destinations/local/test_glance.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { WINDOW = 64, SMALL = 0x20 };

/* Letters beyond ASCII whose small letters are ASCII: I with a dot, the sign of kelvin. */
static const char DOTTED_I[] = "\xc4\xb0", KELVIN[] = "\xe2\x84\xaa";

static int
is_ascii(const char *text, Py_ssize_t length)
{
    uint64_t all = 0, eight;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&eight, text, 8);
        all |= eight;
    }
    for (; length > 0; text++, length--)
        all |= (unsigned char)*text;
    return (all & 0x8080808080808080) == 0;
}

/* Whether a text has a letter of more than one byte: the search for one byte is many times as fast as that for two. */
static int
has(const char *text, const char *end, const char *letter, Py_ssize_t length)
{
    for (; end - text >= length && (text = memchr(text, *letter, (size_t)(end - text - length + 1))) != NULL; text++)
        if (memcmp(text, letter, (size_t)length) == 0)
            return 1;
    return 0;
}

static PyObject *
is_plain(PyObject *Py_UNUSED(module), PyObject *data)
{
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(data, &text, &length) < 0)
        return NULL;
    const char *at = text, *end = text + length;
    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL)
        if (++at < end && (*at == 'u' || *at == '/'))
            Py_RETURN_FALSE;
    if (is_ascii(text, length))
        Py_RETURN_TRUE;
    return PyBool_FromLong(
        !has(text, end, DOTTED_I, sizeof DOTTED_I - 1) && !has(text, end, KELVIN, sizeof KELVIN - 1)
    );
}

/* A needle in small letters, and its ends without the bit by which letters differ in size. */
typedef struct {
    const char *text;
    Py_ssize_t length;
    unsigned char first, last;
} Needle;

static int
is_at(const char *text, const Needle *needle)
{
    for (Py_ssize_t i = 0; i < needle->length; i++)
        if (Py_TOLOWER((unsigned char)text[i]) != (unsigned char)needle->text[i])
            return 0;
    return 1;
}

/* Whether a needle may begin in a window: compilers make a few wide comparisons of it. */
static int
may_begin(const char *window, const Needle *needle)
{
    const unsigned char *first = (const unsigned char *)window, *last = first + needle->length - 1;
    unsigned char any = 0;
    for (int i = 0; i < WINDOW; i++)
        any |= ((first[i] | SMALL) == needle->first) & ((last[i] | SMALL) == needle->last);
    return any;
}

/* Returns where a needle is next, whatever the size of its letters; NULL if nowhere. */
static const char *
find(const char *at, const char *end, const Needle *needle)
{
    const char *beyond = end - needle->length + 1; /* what begins here or later does not fit */
    while (at < beyond) {
        const char *next = beyond - at < WINDOW ? beyond : at + WINDOW;
        if (next - at < WINDOW || may_begin(at, needle))
            for (; at < next; at++)
                if (is_at(at, needle))
                    return at;
        at = next;
    }
    return NULL;
}

static int
append(PyObject *found, Py_ssize_t number, const char *begin, const char *end)
{
    PyObject *pair = Py_BuildValue("(ny#)", number, begin, (Py_ssize_t)(end - begin));
    int result = pair == NULL ? -1 : PyList_Append(found, pair);
    Py_XDECREF(pair);
    return result;
}

static PyObject *
lines_with(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    const char *text, *hit;
    Py_ssize_t length, number = 0;
    Needle needle;
    if (!PyArg_ParseTuple(arguments, "y#y#", &text, &length, &needle.text, &needle.length))
        return NULL;
    if (needle.length == 0) {
        PyErr_SetString(PyExc_ValueError, "a needle has at least one byte");
        return NULL;
    }
    needle.first = (unsigned char)needle.text[0] | SMALL;
    needle.last = (unsigned char)needle.text[needle.length - 1] | SMALL;
    PyObject *found = PyList_New(0);
    const char *line = text, *end = text + length, *line_end;
    while (found != NULL && (hit = find(line, end, &needle)) != NULL) {
        for (; (line_end = memchr(line, '\n', (size_t)(hit - line))) != NULL; number++)
            line = line_end + 1;
        line_end = memchr(hit, '\n', (size_t)(end - hit));
        line_end = line_end == NULL ? end : line_end;
        if (append(found, number++, line, line_end) < 0)
            Py_CLEAR(found);
        line = line_end == end ? end : line_end + 1;
    }
    return found;
}

static PyMethodDef methods[] = {
    {"is_plain", is_plain, METH_O, "Return whether all ASCII letters, digits and slashes stand there as such."},
    {"lines_with", lines_with, METH_VARARGS, "Return each line that has a needle in small letters, with its number."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_glance", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__glance(void)
{
    return PyModule_Create(&definition);
}
