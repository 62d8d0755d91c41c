/* What the environment of a WSGI request says, as most do: the name and the attributes of its span, its path and query.

   Whatever is unusual about one is left to the function of environ.py that is given to `use`.
   The module is optional: without a compiler, environ.py does all of it in Python.
   tests/record/test_environ.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum { SHARED = 6, MAX_PORT_DIGITS = 9 };

/* The items of a head. */
enum { HEAD_NAME, HAS_PATH, ATTRIBUTES, HEAD_ITEMS };

/* The attributes that differ from one request to the next. */
enum { URL_PATH, URL_QUERY, CLIENT_ADDRESS, CLIENT_PORT, OWN };

static PyObject *describe_any, *shared[SHARED], *own[OWN], *no_text;
static PyObject *path_key, *query_key, *raw_key, *uri_key, *address_key, *port_key, *host_key;
static const struct {
    PyObject **object;
    const char *text;
} names[] = {
    {&path_key, "PATH_INFO"},      {&query_key, "QUERY_STRING"}, {&raw_key, "RAW_URI"},      {&uri_key, "REQUEST_URI"},
    {&address_key, "REMOTE_ADDR"}, {&port_key, "REMOTE_PORT"},   {&host_key, "REMOTE_HOST"}, {&no_text, ""},
};

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *any, *keys, *given[OWN];
    if (!PyArg_ParseTuple(arguments, "OO!UUUU", &any, &PyTuple_Type, &keys, &given[0], &given[1], &given[2], &given[3]))
        return NULL;
    if (PyTuple_GET_SIZE(keys) != SHARED) {
        PyErr_SetString(PyExc_TypeError, "a head has six keys");
        return NULL;
    }
    Py_XSETREF(describe_any, Py_NewRef(any));
    for (int i = 0; i < SHARED; i++)
        Py_XSETREF(shared[i], Py_NewRef(PyTuple_GET_ITEM(keys, i)));
    for (int i = 0; i < OWN; i++)
        Py_XSETREF(own[i], Py_NewRef(given[i]));
    Py_RETURN_NONE;
}

static int
is_text(PyObject *text)
{
    return PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text);
}

/* Whether a text is to be stripped of white space. */
static int
has_space(PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    const Py_UCS1 *from = PyUnicode_1BYTE_DATA(text);
    return length > 0 && (from[0] <= ' ' || from[length - 1] <= ' ');
}

/* The head of a request, a borrowed reference; NULL for one that is not known, or with an error. */
static PyObject *
head_of(PyObject *environ, PyObject *heads)
{
    PyObject *key = PyTuple_New(SHARED);
    for (int i = 0; key != NULL && i < SHARED; i++) {
        PyObject *value = PyDict_GetItemWithError(environ, shared[i]);
        PyTuple_SET_ITEM(key, i, Py_NewRef(value == NULL ? Py_None : value));
    }
    PyObject *head = key == NULL || PyErr_Occurred() ? NULL : PyDict_GetItemWithError(heads, key);
    Py_XDECREF(key);
    return head != NULL && PyTuple_Check(head) && PyTuple_GET_SIZE(head) == HEAD_ITEMS ? head : NULL;
}

/* A value of the environment, a text without a character that is not ASCII; what is given where there is none. */
static PyObject *
text_of(PyObject *environ, PyObject *key, PyObject *none)
{
    PyObject *value = PyDict_GetItemWithError(environ, key);
    return value == NULL ? none : value;
}

/* Set an attribute to a text that is not empty; 0 with an error. */
static int
set_text(PyObject *attributes, int attribute, PyObject *text)
{
    return PyUnicode_GET_LENGTH(text) == 0 || PyDict_SetItem(attributes, own[attribute], text) == 0;
}

static int
set_port(PyObject *attributes, PyObject *port)
{
    long number = 0;
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(port); i++)
        number = 10 * number + PyUnicode_1BYTE_DATA(port)[i] - '0';
    PyObject *value = PyLong_FromLong(number);
    int is_set = value != NULL && PyDict_SetItem(attributes, own[CLIENT_PORT], value) == 0;
    Py_XDECREF(value);
    return is_set;
}

/* Whether a text is a number of few digits. */
static int
is_port(PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    for (Py_ssize_t i = 0; i < length; i++)
        if (!Py_ISDIGIT(PyUnicode_1BYTE_DATA(text)[i]))
            return 0;
    return length > 0 && length <= MAX_PORT_DIGITS;
}

/* Name, attributes, path and query of a request by its head; NULL with an error. */
static PyObject *
described(PyObject *head, PyObject *uri, PyObject *path, PyObject *query, PyObject *address, PyObject *port)
{
    PyObject *attributes = PyDict_Copy(PyTuple_GET_ITEM(head, ATTRIBUTES)), *name = PyTuple_GET_ITEM(head, HEAD_NAME);
    int is_set = attributes != NULL;
    if (is_set && PyUnicode_GET_LENGTH(uri) > 0)
        is_set = set_text(attributes, URL_PATH, path) && set_text(attributes, URL_QUERY, query);
    is_set = is_set && set_text(attributes, CLIENT_ADDRESS, address);
    is_set = is_set && (PyUnicode_GET_LENGTH(port) == 0 || set_port(attributes, port));
    if (is_set && PyTuple_GET_ITEM(head, HAS_PATH) == Py_True && PyUnicode_GET_LENGTH(path) > 0)
        name = PyUnicode_FromFormat("%U %U", name, path);
    else
        Py_INCREF(name);
    PyObject *all = is_set && name != NULL ? PyTuple_Pack(4, name, attributes, path, query) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(attributes);
    return all;
}

static PyObject *
describe(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *environ = count == 3 ? arguments[0] : NULL, *heads = count == 3 ? arguments[2] : NULL;
    if (environ == NULL || describe_any == NULL) {
        PyErr_SetString(PyExc_TypeError, "describe takes an environment, the conventions in use, and heads");
        return NULL;
    }
    if (PyDict_Check(environ) && PyDict_Check(heads)) {
        PyObject *head = PyDict_GetItemWithError(environ, host_key) == NULL ? head_of(environ, heads) : NULL;
        PyObject *uri = text_of(environ, raw_key, NULL);
        uri = uri == NULL ? text_of(environ, uri_key, no_text) : uri;
        PyObject *path = text_of(environ, path_key, no_text), *query = text_of(environ, query_key, no_text);
        PyObject *address = text_of(environ, address_key, no_text), *port = text_of(environ, port_key, no_text);
        if (PyErr_Occurred())
            return NULL;
        int is_usual = head != NULL && is_text(path) && !has_space(path) && PyUnicode_CheckExact(query);
        is_usual = is_usual && PyUnicode_CheckExact(uri) && PyUnicode_CheckExact(address) && is_text(port);
        if (is_usual && (PyUnicode_GET_LENGTH(port) == 0 || is_port(port)))
            return described(head, uri, path, query, address, port);
    }
    return PyObject_Vectorcall(describe_any, arguments, (size_t)count, NULL);
}

static PyMethodDef methods[] = {
    {"describe", (PyCFunction)(void (*)(void))describe, METH_FASTCALL, NULL},
    {"use", use, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int
prepare(PyObject *Py_UNUSED(module))
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].object = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_environ", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__environ(void)
{
    return PyModuleDef_Init(&module);
}
