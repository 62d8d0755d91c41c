/* What every log call does, in C: the short way of a call, and of a record, into a line.

   Values of the program become exact built-in types first (_copy.h), orjson writes that copy as JSON, and what stands
   around it is joined here. All else is left to Python, which gets the values as they are.
   The module is optional: without a compiler, line.py, logger.py, plain.py and stdlib.py do the same in Python.
   tests/record/test_speedups.py compares the two. */

#include "_copy.h"

#include <structmember.h>
#include <time.h>

enum { MAX_MESSAGE_BYTES = 65536, MAX_OWN = 64, MAX_TIME_DIGITS = 19 };
static const unsigned long long max_time_ns = 9999999999999999999u; /* what a line has room for: in 2286 */

#ifdef Py_GIL_DISABLED
#error "The compiled parts rely on the interpreter lock: setup.py leaves them out of a free-threaded build."
#endif

/* What the rest of the package hands over by `use`, by these names. */
enum { RECORDER, MASKING, GET_CURRENT, PARTS_OF, DUMPS, CONVERT, ENCODE_ANY, MASK, GIVE_UP, OWN_NAMES, GIVEN };
static const char *const given_names[GIVEN] = {
    "recorder", "masking", "get_current", "parts_of", "dumps", "convert", "encode_any", "mask", "give_up", "own_names"};

/* The names of what is looked up at each call. */
enum { EXC_INFO, STACK_INFO, STACKLEVEL, EXTRA, MESSAGE, LABELS, ASCTIME, COLOR_MESSAGE, HAS_WORD, OTHERS, CURRENT,
       HANDLERS, CONSOLE, MIN_LEVEL, APPEND, NAMES };
static const char *const name_texts[NAMES] = {
    "exc_info", "stack_info", "stacklevel", "extra",    "message", "labels",    "asctime", "color_message",
    "has_word", "_others",    "_current",   "handlers", "console", "min_level", "append"};
enum { OPTIONS = EXTRA + 1 }; /* of a log call, which are no fields */

/* The attributes of a record that are read here, by their places in it. */
enum { RECORD_EXC_INFO, RECORD_STACK_INFO, CREATED, READ };
static const char *const read_names[READ] = {"exc_info", "stack_info", "created"};

typedef struct {
    PyObject *given[GIVEN], *names[NAMES];
    PyTypeObject *enum_type;
    PyObject *last; /* the last context with its ids and fields, one tuple: it is replaced in one step */
    Py_ssize_t own, read_at[READ];
} State;

static State *
state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

static Copier
new_copier(State *state)
{
    return (Copier){state->given[CONVERT], state->enum_type, MAX_PLAIN_BYTES, 0};
}

static int
is_one_of(State *state, PyObject *name, const int *which, int count)
{
    for (int i = 0; i < count; i++)
        if (name == state->names[which[i]])
            return 1;
    if (!PyUnicode_Check(name) || PyUnicode_CHECK_INTERNED(name)) /* of those that stand in a program, the identity decides */
        return 0;
    for (int i = 0; i < count; i++)
        if (PyUnicode_Compare(name, state->names[which[i]]) == 0)
            return 1;
    return 0;
}

static int
has_one_of(State *state, PyObject *const *names, Py_ssize_t count, const int *which, int how_many)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (is_one_of(state, names[i], which, how_many))
            return 1;
    return 0;
}

/* The ids and the fields of the current context: a context never changes, so it is known again by its identity. */
static PyObject *
current_parts(State *state)
{
    PyObject *context = PyObject_CallNoArgs(state->given[GET_CURRENT]);
    if (context == NULL)
        return NULL;
    PyObject *known = Py_XNewRef(state->last);
    if (known != NULL && PyTuple_GET_ITEM(known, 0) == context) {
        Py_DECREF(context);
        return known;
    }
    Py_XDECREF(known);
    PyObject *parts = PyObject_CallOneArg(state->given[PARTS_OF], context);
    Py_DECREF(context);
    if (parts != NULL && !(PyTuple_CheckExact(parts) && PyTuple_GET_SIZE(parts) == 3 && PyBytes_CheckExact(PyTuple_GET_ITEM(parts, 1)))) {
        PyErr_SetString(PyExc_TypeError, "the parts of a context are the context, its ids and its fields");
        Py_CLEAR(parts);
    }
    if (parts != NULL)
        Py_XSETREF(state->last, Py_NewRef(parts));
    return parts;
}

/* What a call has besides its message: fields of the context, of the logger, and its own; the later ones win. */
typedef struct {
    PyObject *shared[2]; /* of the context and of the logger: dictionaries, or None */
    PyObject *const *names, *const *values;
    Py_ssize_t count;
} Fields;

static int
copy_fields(State *state, Copier *copier, PyObject *labels, const Fields *fields)
{
    static const int errors[] = {EXC_INFO, STACK_INFO}; /* are no labels */
    int is_plain = !has_one_of(state, fields->names, fields->count, errors, 2);
    for (int i = 0; i < 2 && is_plain == 1; i++) {
        Items taken;
        if (!PyDict_Check(fields->shared[i]))
            continue;
        if (take_dictionary(&taken, fields->shared[i]) < 0)
            return -1;
        is_plain = !has_one_of(state, taken.items, taken.count, errors, 2);
        if (is_plain)
            is_plain = copy_pairs(copier, labels, taken.items, taken.values, taken.count, 0);
        release(&taken, 1);
    }
    return is_plain == 1 ? copy_pairs(copier, labels, fields->names, fields->values, fields->count, 0) : is_plain;
}

/* All of a call that is JSON of its own: `{"message":…,"labels":…}`. */
static PyObject *
head_of(State *state, PyObject *message, PyObject *labels)
{
    PyObject *head = PyDict_New();
    if (head != NULL
        && (PyDict_SetItem(head, state->names[MESSAGE], message) < 0
            || (PyDict_GET_SIZE(labels) > 0 && PyDict_SetItem(head, state->names[LABELS], labels) < 0)))
        Py_CLEAR(head);
    return head;
}

/* The bytes that a function in Python answered; NULL if it failed, or answered something else; of no bytes, without
   an error. */
static PyObject *
bytes_of(PyObject *answer)
{
    if (answer != NULL && !(PyBytes_CheckExact(answer) && PyBytes_GET_SIZE(answer) >= 2)) {
        if (!PyBytes_CheckExact(answer) || PyBytes_GET_SIZE(answer) > 0)
            PyErr_SetString(PyExc_TypeError, "JSON is bytes, in braces");
        Py_DECREF(answer);
        return NULL;
    }
    return answer;
}

static int
has_secret_word(State *state, PyObject *body)
{
    PyObject *has_word = Py_XNewRef(PyDict_GetItemWithError(state->given[MASKING], state->names[HAS_WORD]));
    PyObject *answer = has_word == NULL ? NULL : PyObject_CallOneArg(has_word, body);
    int result = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(has_word);
    Py_XDECREF(answer);
    return result;
}

/* The JSON of a copy, its secrets masked; NULL without an error if orjson cannot write it, or Python has to. */
static PyObject *
written(State *state, PyObject *message, PyObject *labels)
{
    PyObject *head = head_of(state, message, labels);
    PyObject *body = head == NULL ? NULL : bytes_of(PyObject_CallOneArg(state->given[DUMPS], head));
    if (body == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) /* a lone surrogate, or a number of over 64 bits */
        PyErr_Clear();
    if (body != NULL && PyBytes_GET_SIZE(body) - PyUnicode_GET_LENGTH(message) > MAX_PLAIN_BYTES)
        Py_CLEAR(body);
    int has_word = body == NULL ? 0 : has_secret_word(state, body);
    if (has_word < 0)
        Py_CLEAR(body);
    else if (has_word)
        Py_SETREF(body, bytes_of(PyObject_CallOneArg(state->given[MASK], head)));
    Py_XDECREF(head);
    return body;
}

static int
is_short_text(PyObject *message)
{
    return PyUnicode_CheckExact(message)
        && PyUnicode_GET_LENGTH(message) * (PyUnicode_IS_ASCII(message) ? 1 : 4) <= MAX_MESSAGE_BYTES;
}

static int
add_pairs(PyObject *into, PyObject *const *names, PyObject *const *values, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyUnicode_Check(names[i]) ? PyUnicode_FromObject(names[i]) : Py_NewRef(names[i]);
        int failed = name == NULL || PyDict_SetItem(into, name, values[i]) < 0;
        Py_XDECREF(name);
        if (failed)
            return -1;
    }
    return 0;
}

/* The JSON of a call of any values, which Python writes. */
static PyObject *
written_by_python(State *state, PyObject *message, const Fields *fields)
{
    PyObject *all = PyDict_New(), *body = NULL;
    int failed = all == NULL;
    for (int i = 0; i < 2 && !failed; i++) {
        Items taken;
        if (!PyDict_Check(fields->shared[i]))
            continue;
        failed = take_dictionary(&taken, fields->shared[i]) < 0;
        if (!failed) {
            failed = add_pairs(all, taken.items, taken.values, taken.count) < 0;
            release(&taken, 1);
        }
    }
    if (!failed && add_pairs(all, fields->names, fields->values, fields->count) == 0)
        body = bytes_of(PyObject_CallFunctionObjArgs(state->given[ENCODE_ANY], message, all, NULL));
    Py_XDECREF(all);
    return body;
}

/* The JSON of a message and its fields; `is_mended` if a value in it became a text. */
static PyObject *
body_of(State *state, PyObject *message, const Fields *fields, int *is_mended)
{
    PyObject *labels = PyDict_New(), *body = NULL;
    Copier copier = new_copier(state);
    if (labels == NULL)
        return NULL;
    if (is_short_text(message) && copy_fields(state, &copier, labels, fields) > 0)
        body = written(state, message, labels);
    Py_DECREF(labels);
    *is_mended = body != NULL && copier.is_mended;
    return body != NULL || PyErr_Occurred() ? body : written_by_python(state, message, fields);
}

static char *
put(char *to, const char *bytes, Py_ssize_t count)
{
    memcpy(to, bytes, (size_t)count);
    return to + count;
}

/* `{"time_ns":` time `,"log.level":"` level `",` body, without its braces, ids, and the end of the logger's lines. */
static PyObject *
join_line(unsigned long long time_ns, PyObject *level, PyObject *body, int is_mended, PyObject *ids, PyObject *tail)
{
    static const char before_time[] = "{\"time_ns\":", before_level[] = ",\"log.level\":\"", after_level[] = "\",";
    static const char tags[] = ",\"tags\":[\"mended\"]";
    enum { TIME = sizeof before_time - 1, LEVEL = sizeof before_level - 1, AFTER = sizeof after_level - 1 };
    Py_ssize_t tag_bytes = is_mended ? (Py_ssize_t)sizeof tags - 1 : 0;
    char digits[24];
    int at = sizeof digits;
    do
        digits[--at] = (char)('0' + time_ns % 10);
    while (time_ns /= 10);
    Py_ssize_t digit_count = (Py_ssize_t)sizeof digits - at, level_length, body_length = PyBytes_GET_SIZE(body) - 2;
    const char *level_text = PyUnicode_AsUTF8AndSize(level, &level_length);
    if (level_text == NULL)
        return NULL;
    PyObject *line = PyBytes_FromStringAndSize(NULL, TIME + digit_count + LEVEL + level_length + AFTER + body_length
                                                         + tag_bytes + PyBytes_GET_SIZE(ids) + PyBytes_GET_SIZE(tail));
    if (line == NULL)
        return NULL;
    char *to = put(PyBytes_AS_STRING(line), before_time, TIME);
    to = put(to, digits + at, digit_count);
    to = put(to, before_level, LEVEL);
    to = put(to, level_text, level_length);
    to = put(to, after_level, AFTER);
    to = put(to, PyBytes_AS_STRING(body) + 1, body_length);
    to = put(to, tags, tag_bytes);
    to = put(to, PyBytes_AS_STRING(ids), PyBytes_GET_SIZE(ids));
    put(to, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail));
    return line;
}

static PyObject *
encode(State *state, unsigned long long time_ns, PyObject *level, PyObject *message, Fields *fields, PyObject *tail)
{
    PyObject *parts = current_parts(state), *line = NULL;
    if (parts == NULL)
        return NULL;
    fields->shared[0] = PyTuple_GET_ITEM(parts, 2);
    int is_mended;
    PyObject *body = body_of(state, message, fields, &is_mended);
    if (body != NULL)
        line = join_line(Py_MIN(time_ns, max_time_ns), level, body, is_mended, PyTuple_GET_ITEM(parts, 1), tail);
    Py_XDECREF(body);
    Py_DECREF(parts);
    return line;
}

static PyObject *
not_ready(State *state)
{
    if (state->given[GIVEN - 1] == NULL)
        return PyErr_Format(PyExc_TypeError, "nothing was handed over by `use` yet");
    return NULL;
}

static PyObject *
encode_call(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    State *state = state_of(module);
    if (count != 5 || !PyUnicode_Check(arguments[1]) || !PyDict_Check(arguments[3]) || !PyBytes_Check(arguments[4])) {
        PyErr_SetString(PyExc_TypeError, "encode_call takes a time, a level, a message, a dictionary and bytes");
        return NULL;
    }
    unsigned long long time_ns = PyLong_AsUnsignedLongLong(arguments[0]);
    if (time_ns == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return NULL;
        PyErr_Clear();
        time_ns = 0; /* before 1970 */
    }
    Items taken;
    if (not_ready(state) || PyErr_Occurred() || take_dictionary(&taken, arguments[3]) < 0)
        return NULL;
    Fields fields = {{Py_None, Py_None}, taken.items, taken.values, taken.count};
    PyObject *line = encode(state, time_ns, arguments[1], arguments[2], &fields, arguments[4]);
    release(&taken, 1);
    return line;
}

/* The attributes of a record come first, in an order that never changes, unless a program has changed them. */
static int
has_own_names(State *state, const Items *record)
{
    PyObject *own = state->given[OWN_NAMES];
    if (record->count < state->own)
        return 0;
    for (Py_ssize_t i = 0; i < state->own; i++)
        if (record->items[i] != PyTuple_GET_ITEM(own, i))
            return 0;
    return 1;
}

/* The line of a record that has no exception or stack; None of another one, which is left to Python. */
static PyObject *
encode_taken(State *state, const Items *record, PyObject *level, PyObject *message, PyObject *tail)
{
    static const int of_formatters[] = {MESSAGE, ASCTIME, COLOR_MESSAGE};
    if (!has_own_names(state, record))
        Py_RETURN_NONE;
    PyObject *read[READ];
    for (int i = 0; i < READ; i++)
        read[i] = record->values[state->read_at[i]];
    Fields fields = {{Py_None, Py_None}, record->items + state->own, record->values + state->own, record->count - state->own};
    double created_ns = PyFloat_CheckExact(read[CREATED]) ? PyFloat_AS_DOUBLE(read[CREATED]) * 1e9 : -1;
    int is_error = read[RECORD_EXC_INFO] != Py_None || read[RECORD_STACK_INFO] != Py_None;
    if (is_error || !(created_ns >= 0 && created_ns < 1e19) || has_one_of(state, fields.names, fields.count, of_formatters, 3))
        Py_RETURN_NONE;
    return encode(state, (unsigned long long)created_ns, level, message, &fields, tail);
}

static PyObject *
encode_record(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    State *state = state_of(module);
    if (count != 4 || !PyDict_Check(arguments[0]) || !PyUnicode_Check(arguments[1]) || !PyBytes_Check(arguments[3])) {
        PyErr_SetString(PyExc_TypeError, "encode_record takes a dictionary, a level, a message and bytes");
        return NULL;
    }
    Items record;
    if (not_ready(state) || PyErr_Occurred() || take_dictionary(&record, arguments[0]) < 0)
        return NULL;
    PyObject *line = encode_taken(state, &record, arguments[1], arguments[2], arguments[3]);
    release(&record, 1);
    return line;
}

static PyObject *
copy_fields_of(PyObject *module, PyObject *fields)
{
    State *state = state_of(module);
    if (!PyDict_Check(fields))
        return PyErr_Format(PyExc_TypeError, "copy_fields takes a dictionary");
    if (not_ready(state) || PyErr_Occurred())
        return NULL;
    Copier copier = new_copier(state);
    PyObject *copy = copied_dictionary(&copier, fields, 0);
    if (copy == NULL && PyErr_Occurred())
        return NULL;
    return copy == NULL ? Py_NewRef(Py_None) : Py_BuildValue("NO", copy, copier.is_mended ? Py_True : Py_False);
}

/* A log call: the short way of most, and `call`, which knows all ways, for every other. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    State *state; /* of the module, which the type holds */
    PyObject *call, *level_name, *tail, *verdicts, *key, *loggers, *bound;
    long level, off;
} LogCall;

/* True if no logger that a call passes has a handler. */
static int
has_no_handlers(LogCall *self)
{
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(self->loggers); at++) {
        PyObject *handlers = PyObject_GetAttr(PyTuple_GET_ITEM(self->loggers, at), self->state->names[HANDLERS]);
        int is_empty = handlers != NULL && PyList_Check(handlers) && PyList_GET_SIZE(handlers) == 0;
        Py_XDECREF(handlers);
        if (!is_empty)
            return 0;
    }
    return 1;
}

/* The `append` of the one recorder if that is all a call of this level asks for; NULL if not. */
static PyObject *
append_of_recorder(LogCall *self)
{
    PyObject **names = self->state->names, *recorder = self->state->given[RECORDER];
    PyObject *others = Py_XNewRef(PyDict_GetItemWithError(recorder, names[OTHERS]));
    PyObject *active = Py_XNewRef(PyDict_GetItemWithError(recorder, names[CURRENT]));
    PyObject *append = NULL;
    if (others != NULL && active != NULL && PyDict_Check(others) && PyDict_GET_SIZE(others) == 0) {
        PyObject *console = PyObject_GetAttr(active, names[CONSOLE]), *least = PyObject_GetAttr(active, names[MIN_LEVEL]);
        if (console == Py_None && least != NULL && PyLong_Check(least) && self->level >= PyLong_AsLong(least))
            append = PyObject_GetAttr(active, names[APPEND]);
        Py_XDECREF(console);
        Py_XDECREF(least);
    }
    Py_XDECREF(others);
    Py_XDECREF(active);
    return append;
}

/* The recorder's `append` if all that this call asks for is to be recorded; NULL without an error if not. */
static PyObject *
append_if_short(LogCall *self, Py_ssize_t count, PyObject *const *names, Py_ssize_t name_count)
{
    static const int options[OPTIONS] = {EXC_INFO, STACK_INFO, STACKLEVEL, EXTRA};
    if (count != 1 || has_one_of(self->state, names, name_count, options, OPTIONS) || !has_no_handlers(self))
        return NULL;
    return append_of_recorder(self);
}

static int
record(LogCall *self, PyObject *append, PyObject *message, Fields *fields)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long now_ns = (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
    PyObject *line = encode(self->state, now_ns, self->level_name, message, fields, self->tail);
    PyObject *none = line == NULL ? NULL : PyObject_CallOneArg(append, line);
    Py_XDECREF(line);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* A log call never fails its caller: only what is for the program, such as Ctrl-C, goes on. */
static int
give_up(State *state)
{
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL)
        PyException_SetTraceback(error, trace);
    PyObject *none = PyObject_CallOneArg(state->given[GIVE_UP], error);
    Py_XDECREF(none);
    if (none == NULL && PyErr_ExceptionMatches(PyExc_Exception)) { /* the error itself, or another fault */
        PyObject *raised_type, *raised, *raised_trace;
        PyErr_Fetch(&raised_type, &raised, &raised_trace);
        if (raised == error)
            PyErr_Restore(raised_type, raised, raised_trace);
        else {
            Py_XDECREF(raised_type);
            Py_XDECREF(raised);
            Py_XDECREF(raised_trace);
        }
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
LogCall_vectorcall(LogCall *self, PyObject *const *arguments, size_t flags, PyObject *keywords)
{
    Py_ssize_t count = PyVectorcall_NARGS(flags), name_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    PyObject *const *names = keywords == NULL ? NULL : ((PyTupleObject *)keywords)->ob_item;
    PyObject *verdict = PyDict_GetItemWithError(self->verdicts, self->key);
    if (verdict != NULL && PyLong_Check(verdict)) {
        if (PyLong_AsLong(verdict) == self->off)
            Py_RETURN_NONE;
        PyObject *append = append_if_short(self, count, names, name_count);
        if (append != NULL) {
            Fields fields = {{Py_None, self->bound}, names, arguments + 1, name_count};
            int failed = record(self, append, arguments[0], &fields) < 0 && give_up(self->state) < 0;
            Py_DECREF(append);
            if (failed)
                return NULL;
            Py_RETURN_NONE;
        }
    }
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return NULL; /* Ctrl-C */
    PyErr_Clear(); /* `call` meets it too, and knows what is to be done */
    return PyObject_Vectorcall(self->call, arguments, flags, keywords);
}

static PyObject *
LogCall_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *call, *level_name, *tail, *verdicts, *key, *loggers, *bound;
    long level, off;
    if (!PyArg_ParseTuple(arguments, "OlUSO!OO!lO!", &call, &level, &level_name, &tail, &PyDict_Type, &verdicts, &key,
                          &PyTuple_Type, &loggers, &off, &PyDict_Type, &bound))
        return NULL;
    State *state = PyType_GetModuleState(type);
    if (state == NULL || not_ready(state) || PyErr_Occurred())
        return NULL;
    LogCall *self = (LogCall *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = (vectorcallfunc)LogCall_vectorcall;
    self->state = state;
    self->call = Py_NewRef(call);
    self->level_name = Py_NewRef(level_name);
    self->tail = Py_NewRef(tail);
    self->verdicts = Py_NewRef(verdicts);
    self->key = Py_NewRef(key);
    self->loggers = Py_NewRef(loggers);
    self->bound = Py_NewRef(bound);
    self->level = level;
    self->off = off;
    return (PyObject *)self;
}

static int
LogCall_traverse(LogCall *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->call);
    Py_VISIT(self->verdicts);
    Py_VISIT(self->key);
    Py_VISIT(self->loggers);
    Py_VISIT(self->bound);
    return 0;
}

static void
LogCall_dealloc(LogCall *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->call);
    Py_XDECREF(self->level_name);
    Py_XDECREF(self->tail);
    Py_XDECREF(self->verdicts);
    Py_XDECREF(self->key);
    Py_XDECREF(self->loggers);
    Py_XDECREF(self->bound);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef LogCall_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(LogCall, vectorcall), READONLY, NULL},
    {"__wrapped__", T_OBJECT_EX, offsetof(LogCall, call), READONLY, "The same call in Python."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot LogCall_slots[] = {
    {Py_tp_new, LogCall_new},         {Py_tp_dealloc, LogCall_dealloc}, {Py_tp_traverse, LogCall_traverse},
    {Py_tp_call, PyVectorcall_Call},  {Py_tp_members, LogCall_members}, {Py_tp_doc, "A log call of one logger and level."},
    {0, NULL},
};

static PyType_Spec LogCall_spec = {
    "dashcam.record._speedups.LogCall", sizeof(LogCall), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE, LogCall_slots};

/* An ImportError that names what is missing: nothing takes the long way without a word because of another name. */
static int
check(int is_there, const char *where, const char *name)
{
    if (!is_there)
        PyErr_Format(PyExc_ImportError, "%s has no `%s`, which the compiled log call needs", where, name);
    return is_there ? 0 : -1;
}

static int
check_given(State *state, PyObject *const *given)
{
    PyObject **names = state->names;
    if (check(PyDict_Check(given[RECORDER]) && PyDict_Contains(given[RECORDER], names[OTHERS]) == 1, "recorder", name_texts[OTHERS]) < 0
        || check(PyDict_Contains(given[RECORDER], names[CURRENT]) == 1, "recorder", name_texts[CURRENT]) < 0
        || check(PyDict_Check(given[MASKING]) && PyDict_Contains(given[MASKING], names[HAS_WORD]) == 1, "masking", name_texts[HAS_WORD]) < 0)
        return -1;
    PyObject *active = PyDict_GetItemWithError(given[RECORDER], names[CURRENT]);
    for (int name = CONSOLE; name <= APPEND; name++)
        if (check(PyObject_HasAttr(active, names[name]), "a recorder", name_texts[name]) < 0)
            return -1;
    return 0;
}

/* Find the places of the attributes of a record that are read. */
static int
find_own(PyObject *own, Py_ssize_t *read_at)
{
    if (check(PyTuple_CheckExact(own), "use", "own_names") < 0)
        return -1;
    for (int i = 0; i < READ; i++) {
        Py_ssize_t at = 0;
        while (at < PyTuple_GET_SIZE(own) && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(own, at), read_names[i]) != 0)
            at++;
        if (check(at < PyTuple_GET_SIZE(own), "a record", read_names[i]) < 0)
            return -1;
        read_at[i] = at;
    }
    return 0;
}

static PyObject *
use(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    State *state = state_of(module);
    if (PyTuple_GET_SIZE(arguments) > 0 || keywords == NULL)
        return PyErr_Format(PyExc_TypeError, "use takes names with values");
    PyObject *given[GIVEN];
    Py_ssize_t read_at[READ];
    for (int i = 0; i < GIVEN; i++) {
        given[i] = PyDict_GetItemString(keywords, given_names[i]);
        if (check(given[i] != NULL, "use", given_names[i]) < 0)
            return NULL;
    }
    if (check(PyDict_GET_SIZE(keywords) == GIVEN, "use", "place for another name") < 0 || check_given(state, given) < 0
        || find_own(given[OWN_NAMES], read_at) < 0)
        return NULL;
    for (int i = 0; i < GIVEN; i++)
        Py_XSETREF(state->given[i], Py_NewRef(given[i]));
    memcpy(state->read_at, read_at, sizeof read_at);
    state->own = PyTuple_GET_SIZE(given[OWN_NAMES]);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"encode_call", (PyCFunction)(void (*)(void))encode_call, METH_FASTCALL, NULL},
    {"encode_record", (PyCFunction)(void (*)(void))encode_record, METH_FASTCALL, NULL},
    {"copy_fields", copy_fields_of, METH_O, NULL},
    {"use", (PyCFunction)(void (*)(void))use, METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static int
prepare(PyObject *module)
{
    State *state = state_of(module);
    PyObject *enums = PyImport_ImportModule("enum");
    state->enum_type = enums ? (PyTypeObject *)PyObject_GetAttrString(enums, "EnumMeta") : NULL;
    Py_XDECREF(enums);
    if (state->enum_type == NULL)
        return -1;
    for (int i = 0; i < NAMES; i++)
        if ((state->names[i] = PyUnicode_InternFromString(name_texts[i])) == NULL)
            return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &LogCall_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "LogCall", type);
    Py_XDECREF(type);
    return failed;
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = state_of(module);
    for (int i = 0; i < GIVEN; i++)
        Py_VISIT(state->given[i]);
    Py_VISIT(state->enum_type);
    Py_VISIT(state->last);
    return 0;
}

static void
free_state(void *module)
{
    State *state = state_of(module);
    for (int i = 0; state != NULL && i < GIVEN; i++)
        Py_CLEAR(state->given[i]);
    for (int i = 0; state != NULL && i < NAMES; i++)
        Py_CLEAR(state->names[i]);
    if (state != NULL) {
        Py_CLEAR(state->enum_type);
        Py_CLEAR(state->last);
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, prepare},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_speedups",     .m_size = sizeof(State),
    .m_methods = methods,  .m_slots = slots,          .m_traverse = traverse, .m_free = free_state};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&module);
}
