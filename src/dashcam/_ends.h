/* Where events end that stand in one text, each with a newline behind it (spool/block.py). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* Whether ends follow each other in a text of some length, behind where the first event begins; else an exception. */
static int
are_ends(const Py_buffer *ends, long long begin, Py_ssize_t length)
{
    const uint32_t *at = ends->buf;
    Py_ssize_t count = ends->len / (Py_ssize_t)sizeof *at;
    int are_well = begin >= 0;
    for (Py_ssize_t i = 0; are_well && i < count; begin = at[i++])
        are_well = begin < at[i] && at[i] <= length;
    if (!are_well)
        PyErr_SetString(PyExc_ValueError, "events end one behind the other in their text");
    return are_well;
}
