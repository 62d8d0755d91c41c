/* Lines of spans that are alike: what a span has in common with others, and its line by their template.

   The module is optional: without a compiler, span_template.py does the same in Python.
   tests/record/test_span_template.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { MAX_TEXT_CHARACTERS = 2000, MAX_ATTRIBUTES = 40, MAX_LABELS = 8, TEXTS = 5, SIZES = 2, FLAGS = 2 };

/* The items that every key has: four flags, texts, the end of a request, and the search for secrets. */
enum { END = 4 + TEXTS, SEARCH = END + 1 + SIZES, HEAD };

enum { LEFT_OUT = -1, CONSTANT = -2, ODD = -3 };

/* Where an `OpenSpan` has what is asked for; the five ids come first. */
enum { REQUEST_ID, TRACE_ID, SPAN_ID, TRANSACTION, PARENT_ID, IDS, SERVED = IDS, OPEN_SPAN_ITEMS = 10 };

/* The places of a template, in the order of `_PLACEHOLDERS`: ids, the span's name, attributes, times, sizes, labels. */
enum { NAME = IDS, FIRST_TEXT, TIME = FIRST_TEXT + TEXTS, TIME_US, DURATION, DURATION_US, FIRST_SIZE };
enum { FIRST_LABEL = FIRST_SIZE + SIZES, PLACES = FIRST_LABEL + MAX_LABELS };

/* The attributes whose text is filled in. */
enum { URL_FULL, URL_PATH, URL_QUERY, CLIENT_ADDRESS, USER_AGENT };

static PyObject *client, *server; /* two kinds of spans */
static PyObject *places_of;       /* by their names: where the text of an attribute is filled in, or that no line has it */
static PyObject *unset, *unset_code;         /* the status of most spans, and its code */
static PyObject *text_names[TEXTS], *size_names[SIZES], *flag_names[FLAGS];
static PyObject *labels_name, *error_name, *path_name, *query_name, *status_name, *kind_name, *name_name, *code_name;
static const struct {
    PyObject **object;
    const char *text;
} names[] = {
    {&text_names[URL_FULL], "url.full"},   {&text_names[URL_PATH], "url.path"},  {&text_names[URL_QUERY], "url.query"},
    {&text_names[CLIENT_ADDRESS], "client.address"}, {&text_names[USER_AGENT], "user_agent.original"},
    {&size_names[0], "response_bytes"},    {&size_names[1], "request_bytes"},    {&flag_names[0], "is_incomplete"},
    {&flag_names[1], "is_disconnected"},   {&labels_name, "labels"},             {&error_name, "error"},
    {&path_name, "path"},                  {&query_name, "query"},               {&status_name, "status"},
    {&kind_name, "kind"},                  {&name_name, "name"},                 {&code_name, "status_code"},
};

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given[5];
    if (!PyArg_ParseTuple(arguments, "OOO!OO", &given[0], &given[1], &PyDict_Type, &given[2], &given[3], &given[4]))
        return NULL;
    PyObject **known[5] = {&client, &server, &places_of, &unset, &unset_code};
    for (int i = 0; i < 5; i++) {
        Py_INCREF(given[i]);
        Py_XSETREF(*known[i], given[i]);
    }
    Py_RETURN_NONE;
}

static int
is_open_span(PyObject *known)
{
    if (!PyTuple_Check(known) || PyTuple_GET_SIZE(known) != OPEN_SPAN_ITEMS)
        return 0;
    for (int id = 0; id < IDS; id++)
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(known, id)))
            return 0;
    return 1;
}

static int
is_short(PyObject *text)
{
    return PyUnicode_CheckExact(text) && PyUnicode_GET_LENGTH(text) <= MAX_TEXT_CHARACTERS;
}

/* Whether an attribute of an object is true; -1 with an error. */
static int
is_true(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int result = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return result;
}

/* One if an object's text is empty or, with `is_there`, all ASCII; 0 if its line cannot have it from the attributes. */
static int
is_text_given(PyObject *served, PyObject *name, int is_there, int is_path)
{
    PyObject *text = PyObject_GetAttr(served, name);
    int result = text == NULL ? -1 : 0;
    if (text != NULL && PyUnicode_Check(text))
        result = PyUnicode_GET_LENGTH(text) == 0 || (is_there && (!is_path || PyUnicode_IS_ASCII(text)));
    Py_XDECREF(text);
    return result;
}

/* Whether a request is as most are, so that its line has what its span's attributes have; -1 with an error. */
static int
is_usual(PyObject *served, const int *is_there)
{
    PyObject *error = PyObject_GetAttr(served, error_name);
    if (error == NULL)
        return -1;
    int has_error = error != Py_None;
    Py_DECREF(error);
    if (has_error)
        return 0;
    for (int i = 0; i < FLAGS; i++) {
        int is_odd = is_true(served, flag_names[i]);
        if (is_odd != 0)
            return is_odd < 0 ? -1 : 0;
    }
    int has_path = is_text_given(served, path_name, is_there[URL_PATH], 1);
    return has_path == 1 ? is_text_given(served, query_name, is_there[URL_QUERY], 0) : has_path;
}

/* What is put together for a key, and the texts among the attributes, which are borrowed. */
typedef struct {
    PyObject *items[HEAD + 2 * (MAX_ATTRIBUTES + MAX_LABELS)];
    PyObject *texts[TEXTS];
    Py_ssize_t count;
} Parts;

static void
add(Parts *parts, PyObject *item, PyObject *other)
{
    parts->items[parts->count++] = Py_NewRef(item);
    parts->items[parts->count++] = Py_NewRef(other);
}

/* How an attribute is a part of a line: by the number of its text, or as a constant. Odd is a list, or what is equal and
   has other JSON. */
static long
place_of(PyObject *name, PyObject *value)
{
    if (!PyUnicode_CheckExact(name))
        return ODD;
    PyObject *place = PyDict_GetItemWithError(places_of, name);
    if (place == NULL)
        return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) ? CONSTANT : ODD;
    long number = PyLong_AsLong(place);
    return number >= 0 && !is_short(value) ? ODD : number < TEXTS ? number : ODD;
}

/* Put attributes into a key, and find the texts among them; 0 for no key. */
static int
add_attributes(Parts *parts, PyObject *attributes)
{
    PyObject *name, *value;
    if (PyDict_GET_SIZE(attributes) > MAX_ATTRIBUTES)
        return 0;
    for (Py_ssize_t at = 0; PyDict_Next(attributes, &at, &name, &value);) {
        long place = place_of(name, value);
        if (place == ODD)
            return 0;
        if (place == CONSTANT)
            add(parts, name, value);
        else if (place >= 0)
            parts->texts[place] = value;
    }
    return 1;
}

/* Put the names and the types of labels into a key; 0 for no key. */
static int
add_labels(Parts *parts, PyObject *labels)
{
    PyObject *name, *value;
    if (!PyDict_Check(labels) || PyDict_GET_SIZE(labels) > MAX_LABELS)
        return 0;
    for (Py_ssize_t at = 0; PyDict_Next(labels, &at, &name, &value);) {
        if (!PyUnicode_CheckExact(name) || !(PyLong_CheckExact(value) || is_short(value)))
            return 0;
        add(parts, name, (PyObject *)Py_TYPE(value));
    }
    return 1;
}

/* Put what is known of a request into a key; 0 for no key, or with an error. */
static int
add_request(Parts *parts, PyObject *served, const int *is_there)
{
    if (is_usual(served, is_there) <= 0)
        return 0;
    PyObject *labels = PyObject_GetAttr(served, labels_name);
    int is_added = labels != NULL && add_labels(parts, labels);
    Py_XDECREF(labels);
    for (int i = 0; is_added && i <= SIZES; i++) {
        PyObject *value = PyObject_GetAttr(served, i == 0 ? status_name : size_names[i - 1]);
        int is_set = value == NULL ? -1 : i == 0 ? 0 : PyObject_IsTrue(value);
        Py_XSETREF(parts->items[END + i], is_set == 1 ? Py_NewRef(Py_True) : Py_XNewRef(value));
        Py_XDECREF(value);
        is_added = is_set >= 0;
    }
    return is_added;
}

/* Put into a key what is asked of every span; 0 for no key, or with an error. */
static int
add_all(Parts *parts, PyObject *kind, PyObject *name, PyObject *attributes, PyObject *known)
{
    PyObject *served = PyTuple_GET_ITEM(known, SERVED);
    int is_client = kind == client, is_there[TEXTS];
    int is_outermost = PyUnicode_Compare(PyTuple_GET_ITEM(known, TRANSACTION), PyTuple_GET_ITEM(known, SPAN_ID)) == 0;
    served = is_outermost && served != Py_None ? served : NULL;
    if ((!is_client && !(kind == server && served != NULL)) || !is_short(name) || !add_attributes(parts, attributes))
        return 0;
    PyObject **head = parts->items;
    *head++ = PyBool_FromLong(is_client);
    *head++ = PyBool_FromLong(PyUnicode_GET_LENGTH(PyTuple_GET_ITEM(known, PARENT_ID)) > 0);
    *head++ = PyBool_FromLong(PyUnicode_GET_LENGTH(PyTuple_GET_ITEM(known, REQUEST_ID)) > 0);
    *head++ = PyBool_FromLong(is_outermost);
    for (int i = 0; i < TEXTS; i++) {
        PyObject *text = parts->texts[i];
        is_there[i] = text != NULL && PyUnicode_GET_LENGTH(text) > 0;
        *head++ = Py_NewRef(is_there[i] ? Py_True : text != NULL ? text : Py_None);
    }
    for (int i = 0; i <= SIZES; i++)
        *head++ = Py_NewRef(Py_None);
    return served == NULL || add_request(parts, served, is_there);
}

static PyObject *
make_key(PyObject *kind, PyObject *name, PyObject *attributes, PyObject *known, PyObject *has_word)
{
    Parts parts;
    memset(parts.items, 0, HEAD * sizeof *parts.items);
    memset(parts.texts, 0, sizeof parts.texts);
    parts.count = HEAD;
    int is_made = add_all(&parts, kind, name, attributes, known);
    parts.items[SEARCH] = Py_NewRef(has_word);
    PyObject *key = PyErr_Occurred() ? NULL : PyTuple_New(is_made ? parts.count : 0);
    for (Py_ssize_t i = 0; i < parts.count; i++) {
        if (is_made && key != NULL)
            PyTuple_SET_ITEM(key, i, parts.items[i]);
        else
            Py_XDECREF(parts.items[i]);
    }
    return key;
}

static PyObject *
key_of(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 5 || !PyDict_Check(arguments[2]) || !is_open_span(arguments[3]) || client == NULL) {
        PyErr_SetString(PyExc_TypeError, "key_of takes a kind, a name, attributes, an open span and the search for secrets");
        return NULL;
    }
    return make_key(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
}

/* One value of a line: its bytes, room for those of a number, and the name of a label. */
typedef struct {
    const char *bytes, *name;
    Py_ssize_t length, name_length;
    char digits[20];
    int is_quoted;
} Value;

static int
set_number(Value *value, PyObject *number, unsigned long long divisor)
{
    unsigned long long left = number != NULL && PyLong_CheckExact(number) ? PyLong_AsUnsignedLongLong(number) : 0;
    if (number == NULL || !PyLong_CheckExact(number) || PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    left /= divisor;
    int at = sizeof value->digits;
    do
        value->digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    value->bytes = value->digits + at;
    value->length = (Py_ssize_t)sizeof value->digits - at;
    return 1;
}

/* A text; a quoted one is JSON only if no character of it is to be written in another way. */
static int
set_text(Value *value, PyObject *text, int is_quoted)
{
    if (text == NULL || !PyUnicode_CheckExact(text) || (is_quoted && !PyUnicode_IS_COMPACT_ASCII(text)))
        return 0;
    value->bytes = PyUnicode_AsUTF8AndSize(text, &value->length);
    if (value->bytes == NULL) {
        PyErr_Clear();
        return 0;
    }
    value->is_quoted = is_quoted;
    for (Py_ssize_t i = 0; is_quoted && i < value->length; i++) {
        unsigned char each = (unsigned char)value->bytes[i];
        if (each < ' ' || each == '"' || each == '\\' || each == 0x7f)
            return 0;
    }
    return 1;
}

/* The label of a request by its number, text or integer; 0 if it is none of these, or has a name to be escaped. */
static int
set_label(Value *value, PyObject *served, Py_ssize_t number)
{
    PyObject *labels = served == Py_None ? NULL : PyObject_GetAttr(served, labels_name), *name = NULL, *text = NULL;
    int is_set = 0;
    Value label = {0};
    PyErr_Clear();
    if (labels != NULL && PyDict_Check(labels) && number < PyDict_GET_SIZE(labels)) {
        for (Py_ssize_t at = 0, i = 0; i <= number && PyDict_Next(labels, &at, &name, &text); i++)
            ;
        is_set = set_text(&label, name, 1) && (PyLong_CheckExact(text) ? set_number(value, text, 1) : set_text(value, text, 1));
        value->name = label.bytes;
        value->name_length = label.length;
    }
    Py_XDECREF(labels); /* the request holds it */
    return is_set;
}

static int
set_size(Value *value, PyObject *served, PyObject *name)
{
    PyObject *size = served == Py_None ? NULL : PyObject_GetAttr(served, name);
    int is_set = set_number(value, size, 1);
    PyErr_Clear();
    Py_XDECREF(size);
    return is_set;
}

/* The value of one place, with the arguments of `fill`; 0 if it cannot stand there as it is. */
static int
set_value(Value *value, long place, PyObject *const *arguments)
{
    PyObject *name = arguments[2], *attributes = arguments[3], *known = arguments[4];
    value->is_quoted = 0;
    value->name = NULL;
    if (place < 0 || place >= PLACES)
        return 0;
    if (place < IDS)
        return set_text(value, PyTuple_GET_ITEM(known, place), 0);
    if (place == NAME)
        return set_text(value, name, 1);
    if (place < TIME)
        return set_text(value, PyDict_GetItemWithError(attributes, text_names[place - FIRST_TEXT]), 1);
    if (place >= FIRST_LABEL)
        return set_label(value, PyTuple_GET_ITEM(known, SERVED), place - FIRST_LABEL);
    if (place >= FIRST_SIZE)
        return set_size(value, PyTuple_GET_ITEM(known, SERVED), size_names[place - FIRST_SIZE]);
    int is_us = place == TIME_US || place == DURATION_US;
    return set_number(value, arguments[place <= TIME_US ? 5 : 6], is_us ? 1000 : 1);
}

static char *
put(char *to, const char *bytes, Py_ssize_t count)
{
    memcpy(to, bytes, (size_t)count);
    return to + count;
}

static char *
put_value(char *to, const Value *value)
{
    to = value->is_quoted ? put(to, "\"", 1) : to;
    to = put(to, value->bytes, value->length);
    return value->is_quoted ? put(to, "\"", 1) : to;
}

static PyObject *
join(PyObject *pieces, const Value *values, Py_ssize_t count)
{
    Py_ssize_t length = 0;
    for (Py_ssize_t i = 0; i <= count; i++) {
        if (!PyBytes_Check(PyTuple_GET_ITEM(pieces, i))) {
            PyErr_SetString(PyExc_TypeError, "the pieces of a template are bytes");
            return NULL;
        }
        length += PyBytes_GET_SIZE(PyTuple_GET_ITEM(pieces, i));
        length += i < count ? values[i].length + 2 * values[i].is_quoted : 0;
    }
    PyObject *line = PyBytes_FromStringAndSize(NULL, length);
    if (line == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(line);
    for (Py_ssize_t i = 0; i <= count; i++) {
        PyObject *piece = PyTuple_GET_ITEM(pieces, i);
        to = put(to, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece));
        if (i < count)
            to = put_value(to, &values[i]);
    }
    return line;
}

/* The texts among the values, each in quotation marks: what may hold a secret that the template has not seen.

   A label is asked for with its name, `"car_id":7,`. */
static PyObject *
texts_of(const Value *values, Py_ssize_t count)
{
    Py_ssize_t length = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        length += values[i].is_quoted || values[i].name ? values[i].length + 2 * values[i].is_quoted : 0;
        length += values[i].name ? values[i].name_length + 4 : 0;
    }
    PyObject *texts = PyBytes_FromStringAndSize(NULL, length);
    char *to = texts == NULL ? NULL : PyBytes_AS_STRING(texts);
    for (Py_ssize_t i = 0; texts != NULL && i < count; i++) {
        if (values[i].name)
            to = put(put(put(to, "\"", 1), values[i].name, values[i].name_length), "\":", 2);
        if (values[i].is_quoted || values[i].name)
            to = put_value(to, &values[i]);
        to = values[i].name ? put(to, ",", 1) : to;
    }
    return texts;
}

enum { MAX_PLACES = 32 };

/* The line of a template, with the arguments of `fill` from the name on. */
static PyObject *
fill_in(PyObject *pieces, PyObject *places, PyObject *const *arguments)
{
    if (!PyTuple_Check(pieces) || !PyTuple_Check(places) || !PyDict_Check(arguments[3]) || !is_open_span(arguments[4])
        || PyTuple_GET_SIZE(pieces) != PyTuple_GET_SIZE(places) + 1) {
        PyErr_SetString(PyExc_TypeError, "a line is of pieces, places, a name, attributes, an open span, times, a search");
        return NULL;
    }
    Py_ssize_t place_count = PyTuple_GET_SIZE(places);
    Value values[MAX_PLACES];
    if (place_count > MAX_PLACES)
        return PyBytes_FromStringAndSize("", 0);
    for (Py_ssize_t i = 0; i < place_count; i++) {
        long place = PyLong_AsLong(PyTuple_GET_ITEM(places, i));
        if (!set_value(&values[i], place, arguments))
            return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize("", 0);
    }
    PyObject *line = join(pieces, values, place_count), *texts = line ? texts_of(values, place_count) : NULL;
    PyObject *answer = texts == NULL ? NULL : PyObject_CallOneArg(arguments[7], texts);
    int has_word = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(texts);
    Py_XDECREF(answer);
    if (has_word == 0)
        return line;
    Py_XDECREF(line);
    return has_word < 0 ? NULL : PyBytes_FromStringAndSize("", 0);
}

static PyObject *
fill(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "fill takes eight arguments");
        return NULL;
    }
    return fill_in(arguments[0], arguments[1], arguments);
}

/* Whether a span has no status yet; -1 with an error. */
static int
is_unset(PyObject *span)
{
    PyObject *status = PyObject_GetAttr(span, status_name);
    if (status == NULL || status == unset) {
        Py_XDECREF(status);
        return status == NULL ? -1 : 1;
    }
    PyObject *code = PyObject_GetAttr(status, code_name);
    Py_DECREF(status);
    Py_XDECREF(code);
    return code == NULL ? -1 : code == unset_code;
}

/* `fill` by the template that a span has in common with others, if there is one. */
static PyObject *
fill_by(PyObject *templates, PyObject *kind, PyObject *const *arguments)
{
    PyObject *key = make_key(kind, arguments[2], arguments[3], arguments[4], arguments[7]);
    PyObject *template = key == NULL ? NULL : PyDict_GetItemWithError(templates, key), *line = NULL;
    Py_XDECREF(key);
    if (template != NULL && PyTuple_Check(template) && PyTuple_GET_SIZE(template) == 2) {
        Py_INCREF(template); /* the search may run anything */
        line = fill_in(PyTuple_GET_ITEM(template, 0), PyTuple_GET_ITEM(template, 1), arguments);
        Py_DECREF(template);
    } else if (!PyErr_Occurred()) {
        line = PyBytes_FromStringAndSize("", 0);
    }
    return line;
}

static PyObject *
line_of(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    if (count != 7 || !PyDict_Check(given[0]) || !PyDict_Check(given[2]) || !is_open_span(given[3]) || client == NULL) {
        PyErr_SetString(PyExc_TypeError, "line_of takes templates, a span, attributes, an open span, times, a search");
        return NULL;
    }
    int is_usual = is_unset(given[1]);
    if (is_usual <= 0)
        return is_usual < 0 ? NULL : PyBytes_FromStringAndSize("", 0);
    PyObject *kind = PyObject_GetAttr(given[1], kind_name), *name = PyObject_GetAttr(given[1], name_name), *line = NULL;
    PyObject *arguments[8] = {NULL, NULL, name, given[2], given[3], given[4], given[5], given[6]};
    if (kind != NULL && name != NULL)
        line = fill_by(given[0], kind, arguments);
    Py_XDECREF(kind);
    Py_XDECREF(name);
    return line;
}

/* The attributes of some names, in the order of these. */
static PyObject *
pick(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(arguments[0]) || !PyTuple_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "pick takes a dictionary, and a tuple of names");
        return NULL;
    }
    PyObject *picked = PyDict_New();
    for (Py_ssize_t i = 0; picked != NULL && i < PyTuple_GET_SIZE(arguments[1]); i++) {
        PyObject *name = PyTuple_GET_ITEM(arguments[1], i), *value = PyDict_GetItemWithError(arguments[0], name);
        if (value != NULL ? PyDict_SetItem(picked, name, value) < 0 : PyErr_Occurred() != NULL)
            Py_CLEAR(picked);
    }
    return picked;
}

static PyMethodDef methods[] = {
    {"fill", (PyCFunction)(void (*)(void))fill, METH_FASTCALL, NULL},
    {"key_of", (PyCFunction)(void (*)(void))key_of, METH_FASTCALL, NULL},
    {"line_of", (PyCFunction)(void (*)(void))line_of, METH_FASTCALL, NULL},
    {"pick", (PyCFunction)(void (*)(void))pick, METH_FASTCALL, NULL},
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

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_template", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__template(void)
{
    return PyModuleDef_Init(&module);
}
