/* Opens a span: puts its ids into hexadecimal digits, and takes the rest from its context and the span above it. Gives
   a request without an ID one.

   The module is optional: without a compiler, open_span.py and correlation.py do the same in Python.
   tests/record/test_open_span.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The items of an `OpenSpan`. */
enum { REQUEST_ID, TRACE_ID, SPAN_ID, TRANSACTION, PARENT_ID, SERVED, MONOTONIC_START, SERVICE, ERROR, START, ITEMS };

static PyTypeObject *open_span_type;
static PyObject *no_request; /* of which a new one is a copy */
static PyObject *request_id_key, *service_key, *no_text, *bits_of_half;

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given[4];
    if (!PyArg_ParseTuple(arguments, "O!OUU", &PyType_Type, &given[0], &given[1], &given[2], &given[3]))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)given[0], &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "an open span is a tuple");
        return NULL;
    }
    PyObject **known[4] = {(PyObject **)&open_span_type, &no_request, &request_id_key, &service_key};
    for (int i = 0; i < 4; i++) {
        Py_INCREF(given[i]);
        Py_XSETREF(*known[i], given[i]);
    }
    Py_RETURN_NONE;
}

/* The 16 or 32 hexadecimal digits of an id. */
static PyObject *
in_hex(PyObject *id, int digits)
{
    PyObject *upper = digits > 16 ? PyNumber_Rshift(id, bits_of_half) : Py_NewRef(id);
    unsigned long long left = upper == NULL ? 0 : PyLong_AsUnsignedLongLong(upper);
    Py_XDECREF(upper);
    PyObject *text = PyErr_Occurred() ? NULL : PyUnicode_New(digits, 127);
    if (text == NULL)
        return NULL;
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (int end = 16; end <= digits; end += 16) {
        for (int at = end; at-- > end - 16; left >>= 4)
            to[at] = (Py_UCS1)"0123456789abcdef"[left & 15];
        left = PyLong_AsUnsignedLongLongMask(id);
    }
    return text;
}

/* A UUID of version 7 of a time in milliseconds and 80 random bits. */
static PyObject *
uuid_of(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyLong_Check(arguments[0]) || !PyLong_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "uuid_of takes a time and random bits");
        return NULL;
    }
    PyObject *upper = PyNumber_Rshift(arguments[1], bits_of_half);
    unsigned long long time_ms = PyLong_AsUnsignedLongLongMask(arguments[0]);
    unsigned long long random = upper == NULL ? 0 : PyLong_AsUnsignedLongLongMask(upper);
    unsigned long long lower = PyLong_AsUnsignedLongLongMask(arguments[1]);
    Py_XDECREF(upper);
    PyObject *text = PyErr_Occurred() ? NULL : PyUnicode_New(36, 127);
    if (text == NULL)
        return NULL;
    unsigned long long halves[2] = {
        time_ms << 16 | 7 << 12 | (random & 0xfff),
        2ULL << 62 | (lower & ~(3ULL << 62)),
    };
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (int digit = 0, at = 0; digit < 32; digit++) {
        if (digit == 8 || digit == 12 || digit == 16 || digit == 20)
            to[at++] = '-';
        to[at++] = (Py_UCS1)"0123456789abcdef"[halves[digit / 16] >> (60 - 4 * (digit % 16)) & 15];
    }
    return text;
}

/* A value of the context, if it is true; else that of the span above, or what stands for none. */
static PyObject *
from_context(PyObject *context, PyObject *key, PyObject *above, int item, PyObject *none)
{
    PyObject *value = PyDict_GetItemWithError(context, key);
    int is_set = value == NULL ? 0 : PyObject_IsTrue(value);
    if (is_set < 0 || PyErr_Occurred())
        return NULL;
    return Py_NewRef(is_set ? value : above != Py_None ? PyTuple_GET_ITEM(above, item) : none);
}

/* A new request: what is in each slot of another one, and labels of its own. */
static PyObject *
new_request(void)
{
    PyTypeObject *type = Py_TYPE(no_request);
    if (type->tp_itemsize || type->tp_dictoffset || (type->tp_basicsize - sizeof(PyObject)) % sizeof(PyObject *))
        return PyObject_CallNoArgs((PyObject *)type); /* there is more than slots */
    PyObject *request = type->tp_alloc(type, 0), *labels = request == NULL ? NULL : PyDict_New();
    if (labels == NULL) {
        Py_XDECREF(request);
        return NULL;
    }
    PyObject **from = (PyObject **)(no_request + 1), **to = (PyObject **)(request + 1);
    size_t slots = (type->tp_basicsize - sizeof(PyObject)) / sizeof(PyObject *);
    for (size_t i = 0; i < slots; i++)
        to[i] = Py_XNewRef(from[i] != NULL && PyDict_CheckExact(from[i]) ? labels : from[i]);
    Py_DECREF(labels);
    return request;
}

/* Put the ids and the rest into a new open span; 0 with an error. */
static int
put_items(PyObject **items, PyObject *const *arguments)
{
    PyObject *trace_id = arguments[0], *parent_id = arguments[2], *above = arguments[3], *context = arguments[5];
    int is_root = arguments[4] == Py_True, has_above = above != Py_None;
    PyObject *request_id = from_context(context, request_id_key, above, REQUEST_ID, no_text);
    items[REQUEST_ID] = request_id == NULL ? NULL : PyObject_Str(request_id);
    Py_XDECREF(request_id);
    items[SPAN_ID] = in_hex(arguments[1], 16);
    if (items[REQUEST_ID] == NULL || items[SPAN_ID] == NULL)
        return 0;
    items[TRACE_ID] = has_above ? Py_NewRef(PyTuple_GET_ITEM(above, TRACE_ID)) : in_hex(trace_id, 32);
    if (items[TRACE_ID] == NULL)
        return 0;
    items[TRANSACTION] = Py_NewRef(has_above && !is_root ? PyTuple_GET_ITEM(above, TRANSACTION) : items[SPAN_ID]);
    if (has_above)
        items[PARENT_ID] = Py_NewRef(PyTuple_GET_ITEM(above, SPAN_ID));
    else
        items[PARENT_ID] = parent_id == Py_None ? Py_NewRef(no_text) : in_hex(parent_id, 16);
    if (items[PARENT_ID] == NULL)
        return 0;
    if (is_root)
        items[SERVED] = new_request();
    else
        items[SERVED] = Py_NewRef(has_above ? PyTuple_GET_ITEM(above, SERVED) : Py_None);
    if (items[SERVED] == NULL)
        return 0;
    items[MONOTONIC_START] = Py_NewRef(arguments[6]);
    items[SERVICE] = from_context(context, service_key, above, SERVICE, Py_None);
    PyObject *error = PyErr_GetHandledException();
    items[ERROR] = error == NULL ? Py_NewRef(Py_None) : error;
    items[START] = Py_NewRef(arguments[7]);
    return items[SERVICE] != NULL;
}

static PyObject *
open_of(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (open_span_type == NULL || count != 8 || !PyLong_Check(arguments[0]) || !PyLong_Check(arguments[1])
        || !(arguments[2] == Py_None || PyLong_Check(arguments[2]))
        || !(arguments[3] == Py_None || (Py_IS_TYPE(arguments[3], open_span_type) && PyTuple_GET_SIZE(arguments[3]) == ITEMS))
        || !PyBool_Check(arguments[4]) || !PyDict_Check(arguments[5])) {
        PyErr_SetString(PyExc_TypeError, "open_of takes ids, the span above, whether it is a root, a context, two times");
        return NULL;
    }
    PyObject *items[ITEMS] = {NULL};
    int is_put = put_items(items, arguments);
    PyObject *open_span = is_put ? open_span_type->tp_alloc(open_span_type, ITEMS) : NULL;
    for (int i = 0; i < ITEMS; i++) {
        if (open_span != NULL)
            PyTuple_SET_ITEM(open_span, i, items[i]);
        else
            Py_XDECREF(items[i]);
    }
    return open_span;
}

static PyMethodDef methods[] = {
    {"open_of", (PyCFunction)(void (*)(void))open_of, METH_FASTCALL, NULL},
    {"use", use, METH_VARARGS, NULL},
    {"uuid_of", (PyCFunction)(void (*)(void))uuid_of, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static int
prepare(PyObject *Py_UNUSED(module))
{
    no_text = PyUnicode_InternFromString("");
    bits_of_half = PyLong_FromLong(64);
    return no_text == NULL || bits_of_half == NULL ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_open_span", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__open_span(void)
{
    return PyModuleDef_Init(&module);
}
