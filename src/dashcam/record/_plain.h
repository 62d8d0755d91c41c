/* Fields that can be recorded as orjson wrote them: the sanitizer would neither cut nor replace anything.

   plain.py does the same in Python; the limits are those of sanitizer.py. */

#include <Python.h>
#include <math.h>
#include <string.h>

enum { MAX_LABEL_BYTES = 8000, MAX_NAME_LENGTH = 64, MAX_ITEMS = 500, MAX_DEPTH = 10 };

static PyTypeObject *enum_type; /* of classes whose values are members of an enumeration */
static PyObject *value_name;    /* of the attribute that has a member's value */

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
