/* The body of a `_bulk` request: a line that says what to do before each event.

   The module is optional: without a compiler, backend.py does the same, at five times the time.
   tests/destinations/elasticsearch/test_actions.py compares the two. */

#include "../../_ends.h"
#include <string.h>

enum { ID_DIGITS = 8, MAX_DIGITS = 10 };

static const char AFTER[] = "\"}}\n";

typedef struct {
    const char *begin;
    Py_ssize_t length;
} Text;

static char *
put(char *out, const char *data, size_t length)
{
    memcpy(out, data, length);
    return out + length;
}

/* Writes a number with at least eight digits. */
static char *
put_number(char *out, uint32_t number)
{
    int digits = ID_DIGITS;
    for (uint32_t rest = number / 100000000; rest > 0; rest /= 10)
        digits++;
    for (int at = digits - 1; at >= 0; at--) {
        out[at] = (char)('0' + number % 10);
        number /= 10;
    }
    return out + digits;
}

/* Writes each event behind what the action of its kind begins with, and its ID. */
static PyObject *
put_actions(const char *text, size_t begin, const uint32_t *ends, const char *spans, const uint32_t *sequences,
            Py_ssize_t count, const Text heads[2])
{
    Py_ssize_t longer = heads[0].length > heads[1].length ? heads[0].length : heads[1].length;
    size_t events = count ? ends[count - 1] - begin : 0;
    size_t most = events + (size_t)count * ((size_t)longer + MAX_DIGITS + sizeof AFTER);
    PyObject *body = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)most);
    if (body == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(body);
    for (Py_ssize_t i = 0; i < count; begin = ends[i++]) {
        const Text *head = &heads[spans[i] != 0];
        out = put(out, head->begin, (size_t)head->length);
        out = put_number(out, sequences[i]);
        out = put(out, AFTER, sizeof AFTER - 1);
        out = put(out, text + begin, ends[i] - begin);
    }
    _PyBytes_Resize(&body, out - PyBytes_AS_STRING(body));
    return body;
}

static PyObject *
actions(PyObject *module, PyObject *args)
{
    Text text, heads[2];
    Py_buffer ends, spans, sequences;
    long long begin;
    PyObject *body = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#Ly*y*y*y#y#", &text.begin, &text.length, &begin, &ends, &spans, &sequences,
                          &heads[0].begin, &heads[0].length, &heads[1].begin, &heads[1].length))
        return NULL;
    if (ends.len != 4 * spans.len || sequences.len != ends.len)
        PyErr_SetString(PyExc_ValueError, "each event has an end, a kind and a sequence");
    else if (are_ends(&ends, begin, text.length))
        body = put_actions(text.begin, (size_t)begin, ends.buf, spans.buf, sequences.buf, spans.len, heads);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&spans);
    PyBuffer_Release(&sequences);
    return body;
}

static PyMethodDef methods[] = {
    {"actions", actions, METH_VARARGS, "Return events with a line before each: the beginning for its kind, and its ID."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_actions", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__actions(void)
{
    return PyModule_Create(&definition);
}
