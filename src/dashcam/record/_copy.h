/* A copy of a program's values that consists of exact built-in types and belongs to us alone.

   The one rule of this file: an object of the program is read in one go, in which no Python code can run (nothing is
   called or compared, and nothing allocated that the collector counts), and each reference that is read is owned before anything else happens.
   So nothing that a finalizer, another thread or the value itself does can take an object away that is still in use.
   plain.py does the same in Python; the limits are those of sanitizer.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

enum { MAX_PLAIN_BYTES = 16000, MAX_LABEL_BYTES = 8000, MAX_NAME_LENGTH = 64, MAX_ITEMS = 500, MAX_DEPTH = 10 };
enum { FEW = 32 };

/* References that are owned: the items of a container, or the names and the values of a dictionary. */
typedef struct {
    PyObject **items, **values; /* no values of a list or a set */
    Py_ssize_t count;
    PyObject *few[2 * FEW];
} Items;

static int
make_room(Items *taken, Py_ssize_t count)
{
    taken->count = 0;
    taken->items = count <= FEW ? taken->few : PyMem_Malloc(2 * (size_t)count * sizeof(PyObject *));
    if (taken->items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    taken->values = taken->items + count;
    return 0;
}

static void
release(Items *taken, int has_values)
{
    for (Py_ssize_t i = 0; i < taken->count; i++) {
        Py_DECREF(taken->items[i]);
        if (has_values)
            Py_DECREF(taken->values[i]);
    }
    if (taken->items != taken->few)
        PyMem_Free(taken->items);
}

static int
take_dictionary(Items *taken, PyObject *dictionary)
{
    Py_ssize_t count = PyDict_GET_SIZE(dictionary), at = 0;
    PyObject *name, *value;
    if (make_room(taken, count) < 0)
        return -1;
    while (taken->count < count && PyDict_Next(dictionary, &at, &name, &value)) {
        taken->items[taken->count] = Py_NewRef(name);
        taken->values[taken->count++] = Py_NewRef(value);
    }
    return 0;
}

static int
take_sequence(Items *taken, PyObject *sequence)
{
    Py_ssize_t count = Py_SIZE(sequence);
    if (make_room(taken, count) < 0)
        return -1;
    PyObject **items = PyList_Check(sequence) ? ((PyListObject *)sequence)->ob_item : ((PyTupleObject *)sequence)->ob_item;
    for (; taken->count < count; taken->count++)
        taken->items[taken->count] = Py_NewRef(items[taken->count]);
    return 0;
}

/* The iterator is the set's own, whatever a subclass has in its place, and is made before the size is read. */
static int
take_set(Items *taken, PyObject *set)
{
    PyObject *iterator = PySet_Type.tp_iter(set), *item;
    Py_ssize_t count = PySet_GET_SIZE(set);
    if (iterator == NULL || make_room(taken, count) < 0) {
        Py_XDECREF(iterator);
        return -1;
    }
    while (taken->count < count && (item = Py_TYPE(iterator)->tp_iternext(iterator)) != NULL)
        taken->items[taken->count++] = item;
    Py_DECREF(iterator);
    return 0;
}

typedef struct {
    PyObject *convert;       /* returns a value's content and if it became a text; None leaves it to the sanitizer */
    PyTypeObject *enum_type; /* of classes whose values are members of an enumeration */
    Py_ssize_t room;         /* bytes of JSON that are left: a copy never is much larger than a line */
    int is_mended;           /* a value became a text */
} Copier;

static PyObject *copied(Copier *copier, PyObject *value, int depth);

static PyObject *
copied_text(Copier *copier, PyObject *text, Py_ssize_t most_bytes)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    copier->room -= length + 3;
    if (length * (PyUnicode_IS_ASCII(text) ? 1 : 4) > most_bytes || copier->room < 0)
        return NULL;
    return PyUnicode_FromObject(text);
}

static PyObject *
copied_name(Copier *copier, PyObject *name)
{
    if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) > MAX_NAME_LENGTH)
        return NULL;
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    int has_zero = PyUnicode_IS_ASCII(name) ? memchr(PyUnicode_DATA(name), 0, (size_t)length) != NULL
                                            : PyUnicode_FindChar(name, 0, 0, length, 1) >= 0;
    return has_zero ? NULL : copied_text(copier, name, 4 * MAX_NAME_LENGTH);
}

/* Copy pairs into a dictionary of ours: 1 if all are there, 0 if the sanitizer has to see to them, -1 with an error. */
static int
copy_pairs(Copier *copier, PyObject *into, PyObject *const *names, PyObject *const *values, Py_ssize_t count, int depth)
{
    if (count > MAX_ITEMS)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = copied_name(copier, names[i]), *value = name == NULL ? NULL : copied(copier, values[i], depth);
        int failed = value == NULL ? 1 : PyDict_SetItem(into, name, value);
        Py_XDECREF(name);
        Py_XDECREF(value);
        if (failed)
            return PyErr_Occurred() ? -1 : 0;
    }
    return 1;
}

static PyObject *
copied_dictionary(Copier *copier, PyObject *dictionary, int depth)
{
    PyObject *copy = PyDict_New();
    Items taken;
    if (copy == NULL || PyDict_GET_SIZE(dictionary) > MAX_ITEMS || take_dictionary(&taken, dictionary) < 0) {
        Py_XDECREF(copy);
        return NULL;
    }
    if (copy_pairs(copier, copy, taken.items, taken.values, taken.count, depth) <= 0)
        Py_CLEAR(copy);
    release(&taken, 1);
    return copy;
}

static PyObject *
copied_items(Copier *copier, Items *taken, int depth)
{
    PyObject *copy = PyList_New(taken->count);
    for (Py_ssize_t i = 0; copy != NULL && i < taken->count; i++) {
        PyObject *item = copied(copier, taken->items[i], depth);
        if (item == NULL)
            Py_CLEAR(copy);
        else
            PyList_SET_ITEM(copy, i, item);
    }
    release(taken, 0);
    return copy;
}

static PyObject *
copied_sequence(Copier *copier, PyObject *sequence, int depth)
{
    Items taken;
    if (Py_SIZE(sequence) > MAX_ITEMS || take_sequence(&taken, sequence) < 0)
        return NULL;
    return copied_items(copier, &taken, depth);
}

static PyObject *
copied_set(Copier *copier, PyObject *set, int depth)
{
    Items taken;
    if (PySet_GET_SIZE(set) > MAX_ITEMS || take_set(&taken, set) < 0)
        return NULL;
    return copied_items(copier, &taken, depth);
}

static int
is_scalar(PyObject *value)
{
    return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBool_Check(value)
        || value == Py_None;
}

/* A value that only Python can convert; what it has become is copied like any other. */
static PyObject *
converted(Copier *copier, PyObject *value, int depth)
{
    PyObject *answer = PyObject_CallOneArg(copier->convert, value), *copy = NULL;
    if (answer != NULL && PyTuple_CheckExact(answer) && PyTuple_GET_SIZE(answer) == 2) {
        PyObject *content = PyTuple_GET_ITEM(answer, 0);
        copier->is_mended |= PyTuple_GET_ITEM(answer, 1) == Py_True;
        copy = copied(copier, content, is_scalar(content) ? depth : depth + 1); /* a value may be its own content */
    }
    Py_XDECREF(answer);
    return copy;
}

/* Of a subclass, the content that it has as a value of the built-in type: none of its methods is called. */
static PyObject *
copied_subclass(Copier *copier, PyObject *value, int depth)
{
    if (PyType_IsSubtype(Py_TYPE(Py_TYPE(value)), copier->enum_type))
        return converted(copier, value, depth);
    if (PyUnicode_Check(value))
        return copied_text(copier, value, MAX_LABEL_BYTES);
    if (PyLong_Check(value))
        return PyLong_Type.tp_as_number->nb_positive(value);
    if (PyFloat_Check(value))
        return isfinite(PyFloat_AS_DOUBLE(value)) ? PyFloat_FromDouble(PyFloat_AS_DOUBLE(value)) : NULL;
    if (PyDict_Check(value))
        return copied_dictionary(copier, value, depth + 1);
    if (PyList_Check(value) || PyTuple_Check(value))
        return copied_sequence(copier, value, depth + 1);
    return PyAnySet_Check(value) ? copied_set(copier, value, depth + 1) : converted(copier, value, depth);
}

/* A new reference; NULL without an error if the sanitizer has to see to the value, NULL with one if it must go on. */
static PyObject *
copied(Copier *copier, PyObject *value, int depth)
{
    copier->room -= 2;
    if (depth > MAX_DEPTH || copier->room < 0)
        return NULL;
    if (PyUnicode_CheckExact(value))
        return copied_text(copier, value, MAX_LABEL_BYTES);
    if (PyLong_CheckExact(value) || value == Py_None || PyBool_Check(value)
        || (PyFloat_CheckExact(value) && isfinite(PyFloat_AS_DOUBLE(value))))
        return Py_NewRef(value);
    return copied_subclass(copier, value, depth);
}
