/* What every log call does, in C: the check that it can be recorded as orjson wrote it, and the fields of a record.

   The module is optional: without a compiler, sanitizer.py and stdlib.py do the same in Python.
   tests/record/test_speedups.py compares the two; the limits are those of sanitizer.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

enum { MAX_PLAIN_BYTES = 16000, MAX_LABEL_BYTES = 8000, MAX_NAME_LENGTH = 64, MAX_ITEMS = 500, MAX_DEPTH = 10 };
enum { MENDED = '\t' };

static PyTypeObject *enum_type; /* of classes whose values are members of an enumeration */
static PyObject *value_name, *exc_info_name, *stack_info_name;

static int is_plain_value(PyObject *value, int depth);

static int
is_plain_name(PyObject *name)
{
    if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) > MAX_NAME_LENGTH)
        return 0;
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    if (PyUnicode_IS_COMPACT_ASCII(name))
        return memchr(PyUnicode_1BYTE_DATA(name), 0, (size_t)length) == NULL;
    return PyUnicode_FindChar(name, 0, 0, length, 1) == -1;
}

static int
is_plain_mapping(PyObject *mapping, int depth)
{
    PyObject *name, *value;
    if (PyDict_GET_SIZE(mapping) > MAX_ITEMS)
        return 0;
    for (Py_ssize_t at = 0; PyDict_Next(mapping, &at, &name, &value);)
        if (!is_plain_name(name) || !is_plain_value(value, depth))
            return 0;
    return 1;
}

static int
is_plain_set(PyObject *set, int depth)
{
    PyObject *items = PySequence_List(set);
    if (items == NULL) {
        PyErr_Clear();
        return 0;
    }
    int is_plain = is_plain_value(items, depth);
    Py_DECREF(items);
    return is_plain;
}

static int
is_plain_member(PyObject *member, int depth)
{
    PyObject *value = PyObject_GetAttr(member, value_name);
    if (value == NULL) {
        PyErr_Clear();
        return 0;
    }
    int is_plain = is_plain_value(value, depth);
    Py_DECREF(value);
    return is_plain;
}

static int
is_plain_list(PyObject *list, int depth)
{
    if (Py_SIZE(list) > MAX_ITEMS)
        return 0;
    for (Py_ssize_t at = 0; at < Py_SIZE(list); at++)
        if (!is_plain_value(PyList_Check(list) ? PyList_GET_ITEM(list, at) : PyTuple_GET_ITEM(list, at), depth))
            return 0;
    return 1;
}

static int
is_plain_value(PyObject *value, int depth)
{
    if (depth > MAX_DEPTH)
        return 0;
    if (Py_IS_TYPE(Py_TYPE(value), enum_type))
        return is_plain_member(value, depth);
    if (PyUnicode_Check(value)) /* a character is at most four bytes of UTF-8 */
        return PyUnicode_GET_LENGTH(value) * (PyUnicode_IS_ASCII(value) ? 1 : 4) <= MAX_LABEL_BYTES;
    if (PyFloat_Check(value))
        return isfinite(PyFloat_AS_DOUBLE(value));
    if (PyDict_Check(value))
        return is_plain_mapping(value, depth + 1);
    if (PyList_Check(value) || PyTuple_Check(value))
        return is_plain_list(value, depth + 1);
    if (PyAnySet_Check(value))
        return is_plain_set(value, depth);
    return 1; /* one that orjson knows, or that became a text or an error */
}

static PyObject *
is_plain_call(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 3 || !PyBytes_Check(arguments[0]) || !PyDict_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "is_plain_call takes JSON, a message and a dictionary");
        return NULL;
    }
    PyObject *body = arguments[0], *fields = arguments[2];
    size_t length = (size_t)PyBytes_GET_SIZE(body);
    if (length == 0 || length > MAX_PLAIN_BYTES || !PyUnicode_CheckExact(arguments[1])
        || memchr(PyBytes_AS_STRING(body), MENDED, length) != NULL)
        Py_RETURN_FALSE;
    int has_error = PyDict_GET_SIZE(fields) == 0 ? 0 : PyDict_Contains(fields, exc_info_name);
    if (has_error == 0 && PyDict_GET_SIZE(fields) > 0)
        has_error = PyDict_Contains(fields, stack_info_name);
    if (has_error < 0)
        return NULL;
    return PyBool_FromLong(!has_error && is_plain_mapping(fields, 0));
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
    {"is_plain_call", (PyCFunction)(void (*)(void))is_plain_call, METH_FASTCALL, NULL},
    {"items_after", (PyCFunction)(void (*)(void))items_after, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static int
take_names(PyObject *Py_UNUSED(module))
{
    PyObject *module = PyImport_ImportModule("enum");
    enum_type = module ? (PyTypeObject *)PyObject_GetAttrString(module, "EnumMeta") : NULL;
    Py_XDECREF(module);
    value_name = PyUnicode_InternFromString("_value_");
    exc_info_name = PyUnicode_InternFromString("exc_info");
    stack_info_name = PyUnicode_InternFromString("stack_info");
    return enum_type && value_name && exc_info_name && stack_info_name ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, take_names}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_speedups", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&module);
}
