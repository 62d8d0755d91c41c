/* What every log call does, in C: the look for what masking or mending could change, and the fields of a record.

   The module is optional: where there is no compiler for it, masking.py and stdlib.py do the same in Python, and a log
   call takes half a microsecond longer. tests/record/test_speedups.py holds the two together. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef struct {
    const char *begin;
    const char *end; /* where a zero byte stands, as behind the text of any `bytes` */
} Text;

/* Each place of a letter, by the fastest search that a C library has. */
#define EACH(at, text, letter)                                                                                       \
    for (const char *at = (text).begin; (at = memchr(at, letter, (size_t)((text).end - at))) != NULL; at++)

static int
has(Text text, char letter)
{
    return memchr(text.begin, letter, (size_t)(text.end - text.begin)) != NULL;
}

static int
stands_before(const char *at, Text text, const char *letters)
{
    size_t count = strlen(letters);
    return (size_t)(at - text.begin) >= count && memcmp(at - count, letters, count) == 0;
}

static int
is_plain_text(Text text, long colons)
{
    if (has(text, '=') || has(text, '%') || has(text, '@') || has(text, '\\') || has(text, '['))
        return 0;
    EACH(at, text, ':')
    {
        colons--;
        if (at[1] == 'n') /* null */
            return 0;
    }
    if (colons != 0)
        return 0;
    EACH(at, text, ' ')
        if (stands_before(at, text, "earer") || stands_before(at, text, "asic") || stands_before(at, text, "BEARER")
            || stands_before(at, text, "BASIC"))
            return 0;
    EACH(at, text, '\'')
        if (at[1] == ',')
            return 0;
    EACH(at, text, 'J')
        if (stands_before(at, text, "ey"))
            return 0;
    EACH(at, text, 'K')
        if (strncmp(at, "KEY", 3) == 0 && stands_before(at, text, "PRIVATE "))
            return 0;
    return 1;
}

static PyObject *
is_plain(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "is_plain takes bytes and the number of colons that are JSON's own");
        return NULL;
    }
    long colons = PyLong_AsLong(arguments[1]);
    if (colons == -1 && PyErr_Occurred())
        return NULL;
    const char *begin = PyBytes_AS_STRING(arguments[0]);
    return PyBool_FromLong(is_plain_text((Text){begin, begin + PyBytes_GET_SIZE(arguments[0])}, colons));
}

static PyObject *
items_after(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "items_after takes a dictionary and how many items to leave out");
        return NULL;
    }
    Py_ssize_t left_out = PyLong_AsSsize_t(arguments[1]);
    if (left_out == -1 && PyErr_Occurred())
        return NULL;
    PyObject *items = PyDict_New(), *name, *value;
    if (items == NULL)
        return NULL;
    for (Py_ssize_t at = 0; PyDict_Next(arguments[0], &at, &name, &value);) {
        if (left_out > 0) {
            left_out--;
            continue;
        }
        /* A name's own comparison may do anything, even take the two out of the dictionary. */
        Py_INCREF(name);
        Py_INCREF(value);
        int failed = PyDict_SetItem(items, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
        if (failed) {
            Py_DECREF(items);
            return NULL;
        }
    }
    return items;
}

static PyMethodDef methods[] = {
    {"is_plain", (PyCFunction)(void (*)(void))is_plain, METH_FASTCALL, NULL},
    {"items_after", (PyCFunction)(void (*)(void))items_after, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_speedups", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&module);
}
