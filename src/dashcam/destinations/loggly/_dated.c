/* Lines of events as Loggly takes them: the time once more in front, and its name taken from no other key.

   The module is optional: without a compiler, backend.py does the same, at eight times the time; what is not read here
   is left to it. tests/destinations/loggly/test_dated.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { TIME_AT = 15, TIME_END = 42, WIDE_BYTES = 800, MAX_KEYS = 90, MORE_BYTES = 4 };

static const char BEFORE[] = "{\"@timestamp\":\"", NAME[] = "\"timestamp", MORE[] = "_ecs";

/* Whether a line begins with a time of usual length, and no key `timestamp` seems to begin within it. */
static int
is_dated(const char *line, Py_ssize_t length)
{
    return length > TIME_END + 1 && memcmp(line, BEFORE, TIME_AT) == 0 && line[TIME_AT] != 't'
        && memchr(line + TIME_AT, '"', (size_t)(length - TIME_AT)) == line + TIME_END && line[TIME_END + 1] != 't';
}

/* Whether a line has so many keys that its labels go as one text. */
static int
is_wide(const char *line, Py_ssize_t length)
{
    int keys = 0;
    const char *end = line + length;
    if (length > WIDE_BYTES)
        for (const char *at = line; keys <= MAX_KEYS && (at = memchr(at, '"', (size_t)(end - at))) != NULL; at++)
            keys += at + 1 < end && at[1] == ':';
    return keys > MAX_KEYS;
}

/* Returns the last quote of the next key `timestamp` or `timestamp_ecs…`; NULL if there is none. */
static const char *
end_of_name(const char *at, const char *end)
{
    while ((at = memmem(at, (size_t)(end - at), NAME, sizeof NAME - 1)) != NULL) {
        at += sizeof NAME - 1;
        while (end - at >= MORE_BYTES && memcmp(at, MORE, MORE_BYTES) == 0)
            at += MORE_BYTES;
        if (end - at >= 2 && at[0] == '"' && at[1] == ':')
            return at;
    }
    return NULL;
}

static char *
put(char *out, const char *data, const char *end)
{
    memcpy(out, data, (size_t)(end - data));
    return out + (end - data);
}

/* The line with `"timestamp":…` in front, and another name for each key of that name; None for one that is not read. */
static PyObject *
date_line(PyObject *data)
{
    const char *line = PyBytes_AS_STRING(data), *at = line, *name;
    Py_ssize_t length = PyBytes_GET_SIZE(data), size = length + TIME_END;
    if (!is_dated(line, length) || is_wide(line, length))
        Py_RETURN_NONE;
    const char *end = line + length, *first = end_of_name(line + TIME_END, end);
    for (name = first; name != NULL; name = end_of_name(name, end))
        size += MORE_BYTES;
    PyObject *dated = PyBytes_FromStringAndSize(NULL, size);
    if (dated == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(dated);
    out = put(out, line, line + 2);
    out = put(out, line + 3, line + TIME_END + 1); /* without the @ */
    *out++ = ',';
    at = line + 1;
    for (name = first; name != NULL; name = end_of_name(name, end)) {
        out = put(out, at, name);
        out = put(out, MORE, MORE + MORE_BYTES);
        at = name;
    }
    put(out, at, end);
    return dated;
}

static PyObject *
date_lines(PyObject *module, PyObject *lines)
{
    (void)module;
    if (!PyList_Check(lines)) {
        PyErr_SetString(PyExc_TypeError, "lines come in a list");
        return NULL;
    }
    PyObject *dated = PyList_New(0);
    for (Py_ssize_t i = 0; dated != NULL && i < PyList_GET_SIZE(lines); i++) {
        PyObject *line = PyList_GET_ITEM(lines, i), *made = NULL;
        if (PyBytes_Check(line))
            made = date_line(line);
        else
            PyErr_SetString(PyExc_TypeError, "a line is bytes");
        if (made == NULL || PyList_Append(dated, made) < 0)
            Py_CLEAR(dated);
        Py_XDECREF(made);
    }
    return dated;
}

static PyMethodDef methods[] = {
    {"date_lines", date_lines, METH_O, "Return lines as Loggly takes them; None for each that is not read."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_dated", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__dated(void)
{
    return PyModule_Create(&definition);
}
