/* What every log call does, in C: the straight way of a call, and of a record, into a line.

   orjson writes the JSON, _plain.h says whether it can be recorded like that; here is what stands around it.
   The module is optional: without a compiler, line.py, logger.py, plain.py and stdlib.py do the same in Python.
   tests/record/test_speedups.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

#include "_plain.h"

enum { MAX_PLAIN_BYTES = 16000, MAX_MESSAGE_BYTES = 65536, MENDED = '\t' };
static const unsigned long long max_time_ns = 9999999999999999999u; /* what a line has room for: in 2286 */

enum { OPTIONS = 4 }; /* of a log call, which are no fields */
static PyObject *option_names[OPTIONS];
#define exc_info_name option_names[0]
#define stack_info_name option_names[1]
static PyObject *message_name, *labels_name, *has_word_name, *others_name, *current_name, *handlers_name;
static PyObject *console_name, *min_level_name, *append_name, *drop_name, *args_name, *asctime_name, *created_name, *msg_name;
static PyObject *color_message_name; /* what uvicorn keeps for its own formatter */
static const struct {
    PyObject **object;
    const char *text;
} names[] = {
    {&option_names[0], "exc_info"}, {&option_names[1], "stack_info"}, {&option_names[2], "stacklevel"},
    {&option_names[3], "extra"},    {&value_name, "_value_"},         {&message_name, "message"},
    {&labels_name, "labels"},       {&has_word_name, "has_word"},     {&others_name, "_others"},
    {&current_name, "_current"},    {&handlers_name, "handlers"},     {&console_name, "console"},
    {&min_level_name, "min_level"}, {&append_name, "append"},         {&drop_name, "drop"},
    {&args_name, "args"},           {&asctime_name, "asctime"},       {&created_name, "created"},
    {&msg_name, "msg"},             {&color_message_name, "color_message"},
};

/* True of a call with an exception or a stack; -1 with an error. */
static int
has_error(PyObject *fields)
{
    if (PyDict_GET_SIZE(fields) == 0)
        return 0;
    int has_any = PyDict_Contains(fields, exc_info_name);
    return has_any == 0 ? PyDict_Contains(fields, stack_info_name) : has_any;
}

/* No exception or stack, and nothing that the sanitizer would cut or replace; what became a text is marked in it. */
static int
is_plain(PyObject *body, PyObject *message, PyObject *fields)
{
    Py_ssize_t length = PyBytes_GET_SIZE(body);
    if (length == 0 || !PyUnicode_CheckExact(message))
        return 0;
    Py_ssize_t letters = PyUnicode_GET_LENGTH(message);
    if (length - letters > MAX_PLAIN_BYTES || letters * (PyUnicode_IS_ASCII(message) ? 1 : 4) > MAX_MESSAGE_BYTES)
        return 0;
    int is_more = has_error(fields);
    return is_more < 0 ? -1 : !is_more && is_plain_mapping(fields, 0);
}

static PyObject *
is_plain_call(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 3 || !PyBytes_Check(arguments[0]) || !PyDict_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "is_plain_call takes JSON, a message and a dictionary");
        return NULL;
    }
    int result = is_plain(arguments[0], arguments[1], arguments[2]);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

/* What the rest of the package gave to `use`. */
static PyObject *recorder_names, *masking_names; /* the globals of modules, for what changes */
static PyObject *get_current, *parts_of_context, *dumps, *convert, *options, *encode_any, *mask, *with_tags;
static PyObject *secret_name, *masked_by_name;

/* The ids and fields of the last context: a context never changes, so it is known again by its identity. */
static PyObject *last_context, *last_parts;

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    enum { COUNT = 12 };
    PyObject *given[COUNT];
    if (!PyArg_ParseTuple(arguments, "O!O!OOOOOOOOOO", &PyDict_Type, &given[0], &PyDict_Type, &given[1], &given[2],
                          &given[3], &given[4], &given[5], &given[6], &given[7], &given[8], &given[9], &given[10],
                          &given[11]))
        return NULL;
    PyObject **known[COUNT] = {&recorder_names, &masking_names, &get_current, &parts_of_context, &dumps,       &convert,
                               &options,        &encode_any,    &mask,        &with_tags,        &secret_name, &masked_by_name};
    for (int i = 0; i < COUNT; i++) {
        Py_INCREF(given[i]);
        Py_XSETREF(*known[i], given[i]);
    }
    Py_RETURN_NONE;
}

/* The ids and the fields of the current context, a tuple. */
static PyObject *
current_parts(void)
{
    PyObject *context = PyObject_CallNoArgs(get_current);
    if (context == NULL)
        return NULL;
    PyObject *parts;
    if (context == last_context) {
        parts = Py_NewRef(last_parts);
    } else {
        parts = PyObject_CallOneArg(parts_of_context, context);
        if (parts != NULL && !(PyTuple_Check(parts) && PyTuple_GET_SIZE(parts) == 2 && PyBytes_Check(PyTuple_GET_ITEM(parts, 0)))) {
            PyErr_SetString(PyExc_TypeError, "the parts of a context are its ids and its fields");
            Py_CLEAR(parts);
        }
        if (parts != NULL) {
            Py_INCREF(context);
            Py_INCREF(parts);
            Py_XSETREF(last_context, context);
            Py_XSETREF(last_parts, parts);
        }
    }
    Py_DECREF(context);
    return parts;
}

/* All of a call that is JSON of its own: `{"message":…,"labels":…}`. NULL if orjson cannot write it. */
static PyObject *
head_of(PyObject *message, PyObject *fields)
{
    PyObject *head = PyDict_New();
    if (head != NULL
        && (PyDict_SetItem(head, message_name, message) < 0
            || (PyDict_GET_SIZE(fields) > 0 && PyDict_SetItem(head, labels_name, fields) < 0)))
        Py_CLEAR(head);
    return head;
}

static int
has_secret_word(PyObject *body)
{
    PyObject *has_word = PyDict_GetItemWithError(masking_names, has_word_name);
    if (has_word == NULL)
        return -1;
    Py_INCREF(has_word); /* `configure` may put another one in its place */
    PyObject *answer = PyObject_CallOneArg(has_word, body);
    int result = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_DECREF(has_word);
    Py_XDECREF(answer);
    return result;
}

/* The bytes that a function in Python answered; NULL if it failed, or answered something else. */
static PyObject *
bytes_of(PyObject *answer)
{
    if (answer != NULL && !(PyBytes_Check(answer) && PyBytes_GET_SIZE(answer) >= 2)) {
        Py_DECREF(answer);
        PyErr_SetString(PyExc_TypeError, "JSON is bytes, in braces");
        return NULL;
    }
    return answer;
}

/* orjson makes a TypeError of what a signal handler raises while it asks for a value: raise that again.
   Returns whether the error is not for us to handle. */
static int
is_interrupted(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return 1;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    PyObject *cause = PyException_GetCause(error);
    int is_another = cause != NULL && !PyErr_GivenExceptionMatches(cause, PyExc_Exception);
    if (is_another) {
        PyErr_SetObject((PyObject *)Py_TYPE(cause), cause);
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(trace);
    } else
        PyErr_Restore(type, error, trace);
    Py_XDECREF(cause);
    return is_another;
}

static PyObject *
written_by_orjson(PyObject *head)
{
    PyObject *arguments[] = {head, convert, options};
    PyObject *body = PyObject_Vectorcall(dumps, arguments, 3, NULL);
    if (body == NULL && !is_interrupted()) { /* a value can raise anything when it is asked */
        PyErr_Clear();
        return PyBytes_FromStringAndSize("", 0);
    }
    return bytes_of(body);
}

/* Put a mask in the place of each text whose name says that it is a secret; how many there are, -1 with an error. */
static int
mask_texts(PyObject *masked, PyObject *fields)
{
    int count = 0;
    PyObject *name, *value;
    for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &name, &value);) {
        PyObject *secret = PyUnicode_CheckExact(value) ? PyObject_CallOneArg(secret_name, name) : Py_NewRef(Py_None);
        int is_named = secret != NULL && secret != Py_None;
        PyObject *text = is_named ? PyObject_CallFunctionObjArgs(masked_by_name, name, value, NULL) : NULL;
        int failed = secret == NULL || (is_named && (text == NULL || PyDict_SetItem(masked, name, text) < 0));
        count += is_named && text != value;
        Py_XDECREF(secret);
        Py_XDECREF(text);
        if (failed)
            return -1;
    }
    return count;
}

/* The JSON with a mask for each such text; NULL without an error if there is none, or orjson cannot write it. */
static PyObject *
without_named_secrets(PyObject *message, PyObject *fields)
{
    PyObject *masked = PyDict_Copy(fields), *head = NULL, *body = NULL;
    int count = masked == NULL ? -1 : mask_texts(masked, fields);
    if (count > 0 && (head = head_of(message, masked)) != NULL)
        body = written_by_orjson(head);
    if (body != NULL && PyBytes_GET_SIZE(body) == 0)
        Py_CLEAR(body);
    Py_XDECREF(masked);
    Py_XDECREF(head);
    return body;
}

static int
is_mended(PyObject *body)
{
    return memchr(PyBytes_AS_STRING(body), MENDED, (size_t)PyBytes_GET_SIZE(body)) != NULL;
}

/* The JSON with its secrets masked: most are a text with a name of its own; `mask` knows all others. */
static PyObject *
masked_body(PyObject *body, PyObject *head, PyObject *message, PyObject *fields)
{
    /* What became a text is not asked for it again. */
    PyObject *masked = is_mended(body) ? NULL : without_named_secrets(message, fields);
    if (masked == NULL && PyErr_Occurred())
        return NULL;
    int has_word = masked == NULL ? 1 : has_secret_word(masked);
    if (has_word < 0)
        Py_CLEAR(masked);
    else if (has_word)
        Py_XSETREF(masked, bytes_of(PyObject_CallFunctionObjArgs(mask, body, head, NULL)));
    return masked;
}

static PyObject *
body_of(PyObject *message, PyObject *fields)
{
    PyObject *head = head_of(message, fields), *body = NULL;
    int is_error = has_error(fields);
    if (head == NULL || is_error < 0) {
        Py_XDECREF(head);
        return NULL;
    }
    if (is_error) { /* orjson would write the exception as a text */
        body = bytes_of(PyObject_CallFunctionObjArgs(encode_any, head, fields, NULL));
        Py_DECREF(head);
        return body;
    }
    body = written_by_orjson(head);
    int fits = body == NULL ? -1 : is_plain(body, message, fields);
    int has_word = fits == 1 ? has_secret_word(body) : 0;
    if (fits < 0 || has_word < 0)
        Py_CLEAR(body);
    else if (!fits)
        Py_SETREF(body, bytes_of(PyObject_CallFunctionObjArgs(encode_any, head, fields, NULL)));
    else if (has_word)
        Py_SETREF(body, masked_body(body, head, message, fields));
    if (body != NULL && fits && is_mended(body))
        Py_SETREF(body, bytes_of(PyObject_CallOneArg(with_tags, body)));
    Py_XDECREF(head);
    return body;
}

static char *
put(char *to, const char *bytes, Py_ssize_t count)
{
    memcpy(to, bytes, (size_t)count);
    return to + count;
}

/* `{"time_ns":` time `,"log.level":"` level `",` body, without its braces, ids, and the end of the logger's lines. */
static PyObject *
join_line(unsigned long long time_ns, PyObject *level, PyObject *body, PyObject *ids, PyObject *tail)
{
    static const char before_time[] = "{\"time_ns\":", before_level[] = ",\"log.level\":\"", after_level[] = "\",";
    enum { TIME = sizeof before_time - 1, LEVEL = sizeof before_level - 1, AFTER = sizeof after_level - 1 };
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
                                                         + PyBytes_GET_SIZE(ids) + PyBytes_GET_SIZE(tail));
    if (line == NULL)
        return NULL;
    char *to = put(PyBytes_AS_STRING(line), before_time, TIME);
    to = put(to, digits + at, digit_count);
    to = put(to, before_level, LEVEL);
    to = put(to, level_text, level_length);
    to = put(to, after_level, AFTER);
    to = put(to, PyBytes_AS_STRING(body) + 1, body_length);
    to = put(to, PyBytes_AS_STRING(ids), PyBytes_GET_SIZE(ids));
    put(to, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail));
    return line;
}

static PyObject *
encode(unsigned long long time_ns, PyObject *level, PyObject *message, PyObject *fields, PyObject *tail)
{
    PyObject *parts = current_parts(), *body = NULL, *line = NULL;
    if (parts == NULL)
        return NULL;
    PyObject *context_fields = PyTuple_GET_ITEM(parts, 1);
    Py_INCREF(fields);
    if (PyDict_Check(context_fields) && PyDict_GET_SIZE(context_fields) > 0) {
        PyObject *all = PyDict_Copy(context_fields);
        if (all == NULL || PyDict_Update(all, fields) < 0) {
            Py_XDECREF(all);
            goto end;
        }
        Py_SETREF(fields, all);
    }
    body = body_of(message, fields);
    if (body != NULL)
        line = join_line(time_ns > max_time_ns ? max_time_ns : time_ns, level, body, PyTuple_GET_ITEM(parts, 0), tail);
end:
    Py_XDECREF(body);
    Py_DECREF(fields);
    Py_DECREF(parts);
    return line;
}

static PyObject *
encode_call(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 5 || !PyUnicode_Check(arguments[1]) || !PyDict_Check(arguments[3]) || !PyBytes_Check(arguments[4])
        || encode_any == NULL) {
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
    return encode(time_ns, arguments[1], arguments[2], arguments[3], arguments[4]);
}

/* The items of a dictionary after the first so many. */
static PyObject *
copy_items_after(PyObject *dictionary, Py_ssize_t left_out)
{
    PyObject *items = PyDict_New(), *name, *value;
    if (items == NULL)
        return NULL;
    for (Py_ssize_t at = 0; PyDict_Next(dictionary, &at, &name, &value);) {
        if (left_out > 0) {
            left_out--;
            continue;
        }
        /* A name's own comparison may do anything, even take the two out of the dictionary. */
        Py_INCREF(name);
        Py_INCREF(value);
        int failed = PyDict_SetItem(items, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
        if (failed) {
            Py_DECREF(items);
            return NULL;
        }
    }
    return items;
}

/* True of a value that a record has, other than None or an empty tuple; -1 with an error. */
static int
has_any(PyObject *values, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(values, name);
    if (value == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, name);
        return -1;
    }
    return value == Py_None ? 0 : PyTuple_CheckExact(value) ? PyTuple_GET_SIZE(value) > 0 : 1;
}

/* The fields that a caller gave to a record: what comes after its own attributes. NULL if a formatter left its own. */
static PyObject *
fields_of(PyObject *values, Py_ssize_t own)
{
    PyObject *fields = copy_items_after(values, own);
    if (fields != NULL && PyDict_GET_SIZE(fields) > 0) {
        int is_formatted = PyDict_Contains(fields, message_name);
        if (is_formatted == 0)
            is_formatted = PyDict_Contains(fields, asctime_name);
        if (is_formatted == 0)
            is_formatted = PyDict_Contains(fields, color_message_name);
        if (is_formatted)
            Py_CLEAR(fields);
    }
    return fields;
}

/* Give a record's exception, or its stack, to the fields, as a log call with fields has it; -1 with an error. */
static int
add_error(PyObject *fields, PyObject *values, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(values, name);
    if (value == NULL)
        return -1;
    Py_INCREF(value);
    int is_any = PyObject_IsTrue(value);
    int failed = is_any < 0 || (is_any && PyDict_SetItem(fields, name, value) < 0);
    Py_DECREF(value);
    return failed ? -1 : 0;
}

static PyObject *
encode_record(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 4 || !PyDict_Check(arguments[0]) || !PyUnicode_Check(arguments[2]) || !PyBytes_Check(arguments[3])
        || encode_any == NULL) {
        PyErr_SetString(PyExc_TypeError, "encode_record takes a dictionary, a number, a level and bytes");
        return NULL;
    }
    PyObject *values = arguments[0];
    Py_ssize_t own = PyLong_AsSsize_t(arguments[1]);
    if (own == -1 && PyErr_Occurred())
        return NULL;
    PyObject *created = PyDict_GetItemWithError(values, created_name), *message = PyDict_GetItemWithError(values, msg_name);
    int is_more = has_any(values, args_name);
    int is_failure = has_any(values, exc_info_name) || has_any(values, stack_info_name);
    if (PyErr_Occurred())
        return NULL;
    if (is_more || message == NULL || created == NULL || !PyFloat_CheckExact(created))
        Py_RETURN_NONE;
    double created_ns = PyFloat_AS_DOUBLE(created) * 1e9;
    if (!(created_ns >= 0 && created_ns < 1e19))
        Py_RETURN_NONE;
    PyObject *fields = fields_of(values, own);
    if (fields == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Py_INCREF(message);
    PyObject *line = NULL;
    if (!is_failure || (add_error(fields, values, exc_info_name) == 0 && add_error(fields, values, stack_info_name) == 0))
        line = encode((unsigned long long)created_ns, arguments[2], message, fields, arguments[3]);
    Py_DECREF(message);
    Py_DECREF(fields);
    return line;
}

/* A log call: the straight way of most, and `call`, which knows all ways, for every other. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *call, *level_name, *tail, *verdicts, *key, *loggers;
    long level, off;
} LogCall;

static int
is_option(PyObject *name)
{
    for (int option = 0; option < OPTIONS; option++)
        if (name == option_names[option])
            return 1;
    if (PyUnicode_CHECK_INTERNED(name)) /* as the names that stand in a program are: its identity decides */
        return 0;
    for (int option = 0; option < OPTIONS; option++)
        if (PyUnicode_Compare(name, option_names[option]) == 0)
            return 1;
    return 0;
}

/* The recorder's `append` if all that this call asks for is to be recorded; NULL without an error if not. */
static PyObject *
append_if_straight(LogCall *self, Py_ssize_t count, PyObject *keywords)
{
    if (count != 1)
        return NULL;
    for (Py_ssize_t at = 0; keywords != NULL && at < PyTuple_GET_SIZE(keywords); at++)
        if (is_option(PyTuple_GET_ITEM(keywords, at)))
            return NULL;
    PyObject *others = PyDict_GetItemWithError(recorder_names, others_name);
    if (others == NULL || !PyDict_Check(others) || PyDict_GET_SIZE(others) > 0)
        return NULL;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(self->loggers); at++) {
        PyObject *handlers = PyObject_GetAttr(PyTuple_GET_ITEM(self->loggers, at), handlers_name);
        int is_empty = handlers != NULL && PyList_Check(handlers) && PyList_GET_SIZE(handlers) == 0;
        Py_XDECREF(handlers);
        if (!is_empty)
            return NULL;
    }
    PyObject *active = PyDict_GetItemWithError(recorder_names, current_name);
    if (active == NULL)
        return NULL;
    Py_INCREF(active);
    PyObject *console = PyObject_GetAttr(active, console_name), *least = PyObject_GetAttr(active, min_level_name);
    int is_recorded = console == Py_None && least != NULL && PyLong_Check(least) && self->level >= PyLong_AsLong(least);
    PyObject *append = is_recorded ? PyObject_GetAttr(active, append_name) : NULL;
    Py_DECREF(active);
    Py_XDECREF(console);
    Py_XDECREF(least);
    return append;
}

static int
record(LogCall *self, PyObject *append, PyObject *const *arguments, PyObject *keywords)
{
    PyObject *fields = PyDict_New();
    int failed = fields == NULL;
    for (Py_ssize_t at = 0; !failed && keywords != NULL && at < PyTuple_GET_SIZE(keywords); at++)
        failed = PyDict_SetItem(fields, PyTuple_GET_ITEM(keywords, at), arguments[1 + at]) < 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    PyObject *line = failed ? NULL
                            : encode((unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec, self->level_name, arguments[0], fields,
                                     self->tail);
    PyObject *none = line == NULL ? NULL : PyObject_CallOneArg(append, line);
    Py_XDECREF(fields);
    Py_XDECREF(line);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* A log call never fails its caller. */
static int
count_as_dropped(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear();
    PyObject *drop = PyDict_GetItemWithError(recorder_names, drop_name);
    PyObject *none = drop == NULL ? NULL : PyObject_CallFunction(drop, "s", "error");
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static PyObject *
LogCall_vectorcall(LogCall *self, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    PyObject *verdict = PyDict_GetItemWithError(self->verdicts, self->key);
    if (verdict != NULL && PyLong_Check(verdict)) {
        if (PyLong_AsLong(verdict) == self->off)
            Py_RETURN_NONE;
        PyObject *append = append_if_straight(self, PyVectorcall_NARGS(count), keywords);
        if (append != NULL) {
            int failed = record(self, append, arguments, keywords) < 0 && count_as_dropped() < 0;
            Py_DECREF(append);
            if (failed)
                return NULL;
            Py_RETURN_NONE;
        }
    }
    PyErr_Clear();
    return PyObject_Vectorcall(self->call, arguments, count, keywords);
}

static PyObject *
LogCall_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *call, *level_name, *tail, *verdicts, *key, *loggers;
    long level, off;
    if (!PyArg_ParseTuple(arguments, "OlUSO!OO!l", &call, &level, &level_name, &tail, &PyDict_Type, &verdicts, &key,
                          &PyTuple_Type, &loggers, &off))
        return NULL;
    LogCall *self = (LogCall *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = (vectorcallfunc)LogCall_vectorcall;
    self->call = Py_NewRef(call);
    self->level_name = Py_NewRef(level_name);
    self->tail = Py_NewRef(tail);
    self->verdicts = Py_NewRef(verdicts);
    self->key = Py_NewRef(key);
    self->loggers = Py_NewRef(loggers);
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
    Py_VISIT(self->loggers);
    return 0;
}

static int
LogCall_clear(LogCall *self)
{
    Py_CLEAR(self->call);
    Py_CLEAR(self->level_name);
    Py_CLEAR(self->tail);
    Py_CLEAR(self->verdicts);
    Py_CLEAR(self->key);
    Py_CLEAR(self->loggers);
    return 0;
}

static void
LogCall_dealloc(LogCall *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    LogCall_clear(self);
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
    {Py_tp_clear, LogCall_clear},     {Py_tp_call, PyVectorcall_Call},  {Py_tp_members, LogCall_members},
    {Py_tp_doc, "A log call of one logger and level."},                 {0, NULL},
};

static PyType_Spec LogCall_spec = {
    "dashcam.record._speedups.LogCall", sizeof(LogCall), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, LogCall_slots};

static PyMethodDef methods[] = {
    {"encode_call", (PyCFunction)(void (*)(void))encode_call, METH_FASTCALL, NULL},
    {"is_plain_call", (PyCFunction)(void (*)(void))is_plain_call, METH_FASTCALL, NULL},
    {"encode_record", (PyCFunction)(void (*)(void))encode_record, METH_FASTCALL, NULL},
    {"use", use, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int
prepare(PyObject *module)
{
    PyObject *enums = PyImport_ImportModule("enum");
    enum_type = enums ? (PyTypeObject *)PyObject_GetAttrString(enums, "EnumMeta") : NULL;
    Py_XDECREF(enums);
    if (enum_type == NULL)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].object = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &LogCall_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "LogCall", type);
    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_speedups", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&module);
}
