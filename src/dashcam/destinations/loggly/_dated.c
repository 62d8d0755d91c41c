/* Lines of events as Loggly takes them: the time once more in front, and its name taken from no other key.

   The module is optional: without a compiler, backend.py does the same, at eight times the time; what is not read here
   is left to it. tests/destinations/loggly/test_dated.py compares the two. */

#include "../../_ends.h"
#include <string.h>

enum { TIME_AT = 15, TIME_END = 42, WIDE_BYTES = 800, MAX_KEYS = 90, MORE_BYTES = 4, MAX_BYTES = 1000000 };

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

/* Lines as they are made, and the places of those that are not read. */
typedef struct {
    PyObject *body, *left;
    Py_ssize_t length;
} Made;

static int
reserve(Made *made, Py_ssize_t more)
{
    Py_ssize_t room = PyBytes_GET_SIZE(made->body) - made->length;
    return more <= room ? 0 : _PyBytes_Resize(&made->body, PyBytes_GET_SIZE(made->body) + (more < MAX_BYTES ? MAX_BYTES : more));
}

/* Adds the line with `"timestamp":…` in front, and another name for each key of that name; 0 for one that is not read. */
static int
date_line(Made *made, const char *line, Py_ssize_t length)
{
    Py_ssize_t size = length + TIME_END;
    if (!is_dated(line, length) || is_wide(line, length))
        return 0;
    const char *end = line + length, *at = line + 1, *first = end_of_name(line + TIME_END, end), *name;
    for (name = first; name != NULL; name = end_of_name(name, end))
        size += MORE_BYTES;
    if (size > MAX_BYTES)
        return 0;
    if (reserve(made, size + 1) < 0)
        return -1;
    char *begin = PyBytes_AS_STRING(made->body), *out = begin + made->length;
    out = put(out, line, line + 2);
    out = put(out, line + 3, line + TIME_END + 1); /* without the @ */
    *out++ = ',';
    for (name = first; name != NULL; name = end_of_name(name, end)) {
        out = put(out, at, name);
        out = put(out, MORE, MORE + MORE_BYTES);
        at = name;
    }
    out = put(out, at, end);
    *out++ = '\n';
    made->length = out - begin;
    return 1;
}

static int
leave(Made *made, Py_ssize_t place)
{
    PyObject *number = PyLong_FromSsize_t(place);
    int result = number ? PyList_Append(made->left, number) : -1;
    Py_XDECREF(number);
    return result;
}

static PyObject *
date_all(const char *text, Py_ssize_t begin, const uint32_t *ends, Py_ssize_t count)
{
    Py_ssize_t size = count ? ends[count - 1] - begin + count * (TIME_END + 1) : 0;
    Made made = {PyBytes_FromStringAndSize(NULL, size), PyList_New(0), 0};
    int result = made.body && made.left ? 0 : -1;
    for (Py_ssize_t i = 0; result >= 0 && i < count; begin = ends[i++]) {
        result = date_line(&made, text + begin, ends[i] - begin - 1);
        if (result == 0)
            result = leave(&made, i);
    }
    if (result >= 0 && _PyBytes_Resize(&made.body, made.length) == 0)
        return Py_BuildValue("NN", made.body, made.left);
    Py_XDECREF(made.body);
    Py_XDECREF(made.left);
    return NULL;
}

static PyObject *
date_lines(PyObject *module, PyObject *args)
{
    const char *text;
    Py_ssize_t length;
    long long begin;
    Py_buffer ends;
    PyObject *made = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#Ly*", &text, &length, &begin, &ends))
        return NULL;
    if (are_ends(&ends, begin, length))
        made = date_all(text, (Py_ssize_t)begin, ends.buf, ends.len / (Py_ssize_t)sizeof(uint32_t));
    PyBuffer_Release(&ends);
    return made;
}

static PyMethodDef methods[] = {
    {"date_lines", date_lines, METH_VARARGS,
     "Return the lines of a text as Loggly takes them, a newline behind each, and the places of those that are not read."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_dated", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__dated(void)
{
    return PyModule_Create(&definition);
}
