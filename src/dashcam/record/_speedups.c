/* What every log call does, in C: the check that its fields can be recorded as JSON has them, and the fields of a record.

   The module is optional: without a compiler, sanitizer.py and stdlib.py do the same in Python.
   tests/record/test_speedups.py compares the two; the limits are those of sanitizer.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

enum { MAX_LABEL_BYTES = 8000, MAX_NAME_LENGTH = 64, MAX_ITEMS = 500, MAX_DEPTH = 10 };
enum { NO, YES, UNKNOWN };

static int is_plain_value(PyObject *value, PyObject *leaves, int depth);

static int
is_plain_text(PyObject *text)
{
    /* A character is at most four bytes of UTF-8. */
    return PyUnicode_GET_LENGTH(text) * (PyUnicode_IS_ASCII(text) ? 1 : 4) <= MAX_LABEL_BYTES ? YES : UNKNOWN;
}

static int
is_plain_name(PyObject *name)
{
    if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) > MAX_NAME_LENGTH)
        return NO;
    return PyUnicode_FindChar(name, 0, 0, PyUnicode_GET_LENGTH(name), 1) == -1;
}

static int
is_plain_mapping(PyObject *mapping, PyObject *leaves, int depth)
{
    PyObject *name, *value;
    if (PyDict_GET_SIZE(mapping) > MAX_ITEMS)
        return NO;
    for (Py_ssize_t at = 0; PyDict_Next(mapping, &at, &name, &value);) {
        int is_plain = is_plain_name(name);
        if (is_plain == YES)
            is_plain = is_plain_value(value, leaves, depth);
        if (is_plain != YES)
            return is_plain;
    }
    return YES;
}

static int
is_plain_list(PyObject *list, PyObject *leaves, int depth)
{
    if (Py_SIZE(list) > MAX_ITEMS)
        return NO;
    for (Py_ssize_t at = 0; at < Py_SIZE(list); at++) {
        PyObject *item = PyList_CheckExact(list) ? PyList_GET_ITEM(list, at) : PyTuple_GET_ITEM(list, at);
        int is_plain = is_plain_value(item, leaves, depth);
        if (is_plain != YES)
            return is_plain;
    }
    return YES;
}

/* Runs no code of the caller's, so nothing can change what is looked at. */
static int
is_plain_value(PyObject *value, PyObject *leaves, int depth)
{
    if (depth > MAX_DEPTH)
        return NO;
    if (PyUnicode_CheckExact(value))
        return is_plain_text(value);
    if (PyLong_CheckExact(value) || PyBool_Check(value) || value == Py_None)
        return YES;
    if (PyFloat_CheckExact(value))
        return isfinite(PyFloat_AS_DOUBLE(value)) ? YES : NO;
    if (PyDict_CheckExact(value))
        return is_plain_mapping(value, leaves, depth + 1);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return is_plain_list(value, leaves, depth + 1);
    return PySet_Contains(leaves, (PyObject *)Py_TYPE(value)) == 1 ? YES : UNKNOWN;
}

static PyObject *
is_plain(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(arguments[0]) || !PyFrozenSet_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "is_plain takes a dictionary and a frozenset of types");
        return NULL;
    }
    int is_plain = is_plain_mapping(arguments[0], arguments[1], 0);
    if (is_plain == UNKNOWN)
        Py_RETURN_NONE;
    return PyBool_FromLong(is_plain == YES);
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
