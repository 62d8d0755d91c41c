/* The response of a WSGI application, from its status to the last byte that the server took, as most are.

   Whatever is unusual about one is decided by the functions of response.py, which are given to `use`.
   The module is optional: without a compiler, response.py does all of it in Python.
   tests/record/test_response.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <structmember.h>

enum { MAX_SIZE_DIGITS = 18, STATUS_DIGITS = 3, NO_CONTENT = 204, NOT_MODIFIED = 304 };

/* What response.py and current.py do. */
enum { GET_CURRENT, ATTACH, RESET, DETACH, START, WRITE, SEND_FILE, FAIL, END, FUNCTIONS };
static PyObject *functions[FUNCTIONS], *partial, *id_key, *id_header;

static PyObject *context_name, *request_name, *status_name, *is_open_name, *end_name, *close_name;
static PyObject *response_bytes_name, *module_name, *test_module, *len_name, *method_key, *head_method, *wrapper_key;
static const struct {
    PyObject **object;
    const char *text;
} names[] = {
    {&context_name, "context"},   {&request_name, "request"},          {&status_name, "status"},
    {&is_open_name, "is_open"},   {&end_name, "end"},                  {&close_name, "close"},
    {&len_name, "__len__"},       {&response_bytes_name, "response_bytes"}, {&module_name, "__module__"},
    {&test_module, "werkzeug.test"}, {&method_key, "REQUEST_METHOD"},  {&head_method, "HEAD"},
    {&wrapper_key, "wsgi.file_wrapper"},
};

typedef struct {
    PyObject_HEAD
    PyObject *server, *environ, *start_response, *describe, *outer_error, *length;
    Py_ssize_t sent, pending;
    char is_begun, is_complete, is_test;
} Response;

/* A body, or a way through one that has a length. */
typedef struct {
    PyObject_HEAD
    Response *response;
    PyObject *body, *parts, *context;
    char is_given, is_over; /* a part was given to the server; there is no more */
} Body;

static PyTypeObject ResponseType, PartsType, BodyType, SizedBodyType;

/* Python's own way of keeping an exception while something else runs. */
static PyObject *
take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL)
        PyException_SetTraceback(error, trace);
    Py_DECREF(type);
    Py_XDECREF(trace);
    return error;
#endif
}

static void
raise_again(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* Make the context of before the current one again, as `current.detach`; takes the token, and keeps what was raised. */
static int
detach(PyObject *token)
{
    PyObject *error = take_error(), *done = PyObject_CallOneArg(functions[RESET], token);
    if (done == NULL && (PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(PyExc_RuntimeError))) {
        PyErr_Clear();
        done = PyObject_CallOneArg(functions[DETACH], token);
    }
    Py_DECREF(token);
    int is_done = done != NULL;
    Py_XDECREF(done);
    if (error != NULL && is_done)
        raise_again(error);
    else
        Py_XDECREF(error);
    return is_done;
}

static PyObject *
attach_to(Response *response)
{
    PyObject *context = PyObject_GetAttr(response->server, context_name);
    PyObject *token = context == NULL ? NULL : PyObject_CallOneArg(functions[ATTACH], context);
    Py_XDECREF(context);
    return token;
}

/* Let Python end the span with the exception that was raised; it is raised again. */
static void
fail(Response *response)
{
    PyObject *error = take_error();
    PyObject *done = PyObject_CallFunctionObjArgs(functions[FAIL], response, error, NULL);
    if (done != NULL)
        raise_again(error);
    else
        Py_DECREF(error);
    Py_XDECREF(done);
}

/* The value of an attribute that is true or false; -1 with an error. */
static int
is_true(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int result = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return result;
}

static int
is_text(PyObject *text, PyObject *other)
{
    return text != NULL && PyUnicode_CheckExact(text) && PyUnicode_Compare(text, other) == 0;
}

/* End the span of a response that is complete; 0 with an error. */
static int
end_complete(Response *self)
{
    PyObject *request = PyObject_GetAttr(self->server, request_name);
    PyObject *status = request == NULL ? NULL : PyObject_GetAttr(request, status_name);
    long code = status == NULL ? -1 : PyLong_AsLong(status);
    int is_set = !PyErr_Occurred();
    if (is_set && code != 0) {
        PyObject *method = PyDict_Check(self->environ) ? PyDict_GetItemWithError(self->environ, method_key) : NULL;
        int has_body = code != NO_CONTENT && code != NOT_MODIFIED && !is_text(method, head_method);
        PyObject *bytes = PyErr_Occurred() ? NULL : PyLong_FromSsize_t(has_body ? self->sent + self->pending : 0);
        is_set = bytes != NULL && PyObject_SetAttr(request, response_bytes_name, bytes) == 0;
        Py_XDECREF(bytes);
    }
    Py_XDECREF(status);
    Py_XDECREF(request);
    PyObject *done = is_set ? PyObject_CallMethodNoArgs(self->server, end_name) : NULL;
    Py_XDECREF(done);
    return done != NULL;
}

/* End the span with what the server met, NULL for nothing; 0 with an error. */
static int
end(Response *self, PyObject *problem, int is_closed)
{
    int is_open = is_true(self->server, is_open_name);
    if (is_open <= 0)
        return is_open == 0;
    int is_new = problem != NULL && problem != self->outer_error;
    if (!is_new && self->is_complete)
        return end_complete(self);
    PyObject *done = PyObject_CallFunctionObjArgs(
        functions[END], self, problem == NULL ? Py_None : problem, is_closed ? Py_True : Py_False, NULL);
    Py_XDECREF(done);
    return done != NULL;
}

static PyObject *
Response_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    PyObject *given[4];
    if (functions[END] == NULL || (named != NULL && PyDict_GET_SIZE(named)) || PyTuple_GET_SIZE(arguments) != 4) {
        PyErr_SetString(PyExc_TypeError, "a response has a server span, an environment, start_response, describe");
        return NULL;
    }
    Response *self = (Response *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    PyObject **known[4] = {&self->server, &self->environ, &self->start_response, &self->describe};
    for (int i = 0; i < 4; i++)
        *known[i] = given[i] = Py_NewRef(PyTuple_GET_ITEM(arguments, i));
    self->length = Py_NewRef(Py_None);
    self->outer_error = PyErr_GetHandledException();
    PyObject *module = PyObject_GetAttr(self->start_response, module_name);
    if (module == NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        Py_DECREF(self);
        return NULL;
    }
    PyErr_Clear();
    self->is_test = (char)is_text(module, test_module);
    Py_XDECREF(module);
    return (PyObject *)self;
}

static int
Response_traverse(Response *self, visitproc visit, void *arg)
{
    Py_VISIT(self->server);
    Py_VISIT(self->environ);
    Py_VISIT(self->start_response);
    Py_VISIT(self->describe);
    Py_VISIT(self->outer_error);
    Py_VISIT(self->length);
    return 0;
}

static int
Response_clear(Response *self)
{
    Py_CLEAR(self->server);
    Py_CLEAR(self->environ);
    Py_CLEAR(self->start_response);
    Py_CLEAR(self->describe);
    Py_CLEAR(self->outer_error);
    Py_CLEAR(self->length);
    return 0;
}

static void
Response_dealloc(Response *self)
{
    PyObject_GC_UnTrack(self);
    Response_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* The number that a text of ASCII digits says; -1 for another text. */
static long long
number_of(PyObject *text, Py_ssize_t digits)
{
    long long number = 0;
    if (!PyUnicode_IS_COMPACT_ASCII(text) || PyUnicode_GET_LENGTH(text) < digits || digits == 0)
        return -1;
    const Py_UCS1 *from = PyUnicode_1BYTE_DATA(text);
    for (Py_ssize_t i = 0; i < digits; i++) {
        if (from[i] < '0' || from[i] > '9')
            return -1;
        number = 10 * number + from[i] - '0';
    }
    return number;
}

/* Whether the name of a header is one of lower case. */
static int
is_named(PyObject *text, const char *name)
{
    Py_ssize_t length = (Py_ssize_t)strlen(name);
    if (!PyUnicode_IS_COMPACT_ASCII(text) || PyUnicode_GET_LENGTH(text) != length)
        return 0;
    const Py_UCS1 *from = PyUnicode_1BYTE_DATA(text);
    for (Py_ssize_t i = 0; i < length; i++)
        if (Py_TOLOWER(from[i]) != name[i])
            return 0;
    return 1;
}

/* Whether headers are a list of pairs of texts without a request ID, and what length they say, -1 for none. */
static int
are_usual(PyObject *headers, long long *length)
{
    *length = -1;
    if (!PyList_CheckExact(headers))
        return 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        PyObject *header = PyList_GET_ITEM(headers, i);
        if (!PyTuple_CheckExact(header) || PyTuple_GET_SIZE(header) != 2)
            return 0;
        PyObject *name = PyTuple_GET_ITEM(header, 0), *value = PyTuple_GET_ITEM(header, 1);
        if (!PyUnicode_CheckExact(name) || !PyUnicode_CheckExact(value) || is_named(name, "x-request-id"))
            return 0;
        if (is_named(name, "content-length")) {
            Py_ssize_t digits = PyUnicode_GET_LENGTH(value);
            *length = digits > MAX_SIZE_DIGITS ? -1 : number_of(value, digits);
            if (*length < 0)
                return 0;
        }
    }
    return 1;
}

/* Note status and length of a response; 0 if they are for Python to understand, -1 with an error. */
static int
note_start(Response *self, PyObject *status, PyObject *headers)
{
    long long length, code = PyUnicode_CheckExact(status) ? number_of(status, STATUS_DIGITS) : -1;
    if (code < 0 || self->describe != Py_None || !are_usual(headers, &length))
        return 0;
    PyObject *number = PyLong_FromLongLong(code), *request = PyObject_GetAttr(self->server, request_name);
    PyObject *bytes = length < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(length);
    int is_noted = number != NULL && request != NULL && bytes != NULL;
    is_noted = is_noted && PyObject_SetAttr(request, status_name, number) == 0;
    if (is_noted)
        Py_SETREF(self->length, Py_NewRef(bytes));
    Py_XDECREF(number);
    Py_XDECREF(request);
    Py_XDECREF(bytes);
    return is_noted ? 1 : -1;
}

/* A copy of headers with the request ID. */
static PyObject *
with_id(PyObject *headers, PyObject *request_id)
{
    Py_ssize_t count = PyList_GET_SIZE(headers);
    PyObject *header = PyTuple_Pack(2, id_header, request_id), *all = header == NULL ? NULL : PyList_New(count + 1);
    for (Py_ssize_t i = 0; all != NULL && i < count; i++)
        PyList_SET_ITEM(all, i, Py_NewRef(PyList_GET_ITEM(headers, i)));
    if (all != NULL)
        PyList_SET_ITEM(all, count, header);
    else
        Py_XDECREF(header);
    return all;
}

enum { MAX_ARGUMENTS = 3 };

static PyObject *
Response_start(Response *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *request_id = PyDict_Check(self->environ) ? PyDict_GetItemWithError(self->environ, id_key) : NULL;
    int is_noted = PyErr_Occurred() ? -1 : 0;
    if (request_id != NULL && count >= 2 && count <= MAX_ARGUMENTS && keywords == NULL)
        is_noted = note_start(self, arguments[0], arguments[1]);
    if (is_noted < 0)
        return NULL;
    if (!is_noted) {
        PyObject *whole = PyObject_CallFunctionObjArgs(partial, functions[START], self, NULL), *write = NULL;
        if (whole != NULL)
            write = PyObject_Vectorcall(whole, arguments, (size_t)count, keywords);
        Py_XDECREF(whole);
        return write;
    }
    PyObject *headers = with_id(arguments[1], request_id), *write = NULL;
    PyObject *given[MAX_ARGUMENTS] = {arguments[0], headers, count == MAX_ARGUMENTS ? arguments[2] : NULL};
    if (headers != NULL)
        write = PyObject_Vectorcall(self->start_response, given, (size_t)count, NULL);
    Py_XDECREF(headers);
    PyObject *noting = write == NULL ? NULL : PyObject_CallFunctionObjArgs(partial, functions[WRITE], self, write, NULL);
    Py_XDECREF(write);
    return noting;
}

static PyObject *
new_body(PyTypeObject *type, Response *response, PyObject *body)
{
    Body *made = (Body *)type->tp_alloc(type, 0);
    if (made != NULL) {
        made->response = (Response *)Py_NewRef((PyObject *)response);
        made->body = Py_NewRef(body);
    }
    return (PyObject *)made;
}

static PyObject *
Response_body(Response *self, PyObject *body)
{
    PyObject *wrapper = PyObject_CallMethod(self->environ, "get", "O", wrapper_key);
    int is_file = wrapper == NULL ? -1 : PyType_Check(wrapper) ? PyObject_IsInstance(body, wrapper) : 0;
    Py_XDECREF(wrapper);
    if (is_file != 0)
        return is_file < 0 ? NULL : PyObject_CallFunctionObjArgs(functions[SEND_FILE], self, body, NULL);
    return new_body(PyObject_HasAttr(body, len_name) ? &SizedBodyType : &BodyType, self, body);
}

static PyMethodDef Response_methods[] = {
    {"start", (PyCFunction)(void (*)(void))Response_start, METH_FASTCALL | METH_KEYWORDS,
     "Pass status and headers on, as `start_response` of PEP 3333."},
    {"body", (PyCFunction)Response_body, METH_O, "Return the body as an iterable, whose end is the end of the span."},
    {NULL, NULL, 0, NULL},
};

#define MEMBER(name, type, flags) {#name, type, offsetof(Response, name), flags, NULL}
static PyMemberDef Response_members[] = {
    MEMBER(server, T_OBJECT, READONLY),
    MEMBER(environ, T_OBJECT, READONLY),
    MEMBER(start_response, T_OBJECT, READONLY),
    MEMBER(describe, T_OBJECT, READONLY),
    MEMBER(outer_error, T_OBJECT, READONLY),
    MEMBER(length, T_OBJECT, 0),
    MEMBER(sent, T_PYSSIZET, 0),
    MEMBER(pending, T_PYSSIZET, 0),
    MEMBER(is_begun, T_BOOL, 0),
    MEMBER(is_complete, T_BOOL, 0),
    MEMBER(is_test, T_BOOL, READONLY),
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject ResponseType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "dashcam.record._response.Response",
    .tp_basicsize = sizeof(Response),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "A response, given its server span, environment, start_response, and what describes it, or None.",
    .tp_new = Response_new,
    .tp_traverse = (traverseproc)Response_traverse,
    .tp_clear = (inquiry)Response_clear,
    .tp_dealloc = (destructor)Response_dealloc,
    .tp_methods = Response_methods,
    .tp_members = Response_members,
};

/* Note a part that is given to the server; 0 with an error. */
static int
note_part(Body *self, PyObject *part)
{
    Response *response = self->response;
    response->is_begun = self->is_given = 1;
    response->pending = 0;
    if (PyBytes_Check(part) || PyByteArray_Check(part))
        response->pending = PyObject_Size(part);
    if (response->pending < 0)
        return 0;
    if (!response->is_test || response->length == NULL || !PyLong_Check(response->length))
        return 1;
    long long length = PyLong_AsLongLong(response->length);
    PyErr_Clear(); /* longer than any */
    return length != response->sent + response->pending || end(response, NULL, 1);
}

/* Ask a body for its next part within its context; NULL without an error at its end. */
static PyObject *
make_part(Body *self)
{
    PyObject *token = PyObject_CallOneArg(functions[ATTACH], self->context);
    if (token == NULL)
        return NULL;
    if (self->parts == NULL)
        self->parts = PyObject_GetIter(self->body);
    PyObject *part = self->parts == NULL ? NULL : Py_TYPE(self->parts)->tp_iternext(self->parts);
    if (part == NULL && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_StopIteration))) {
        PyErr_Clear();
        self->is_over = self->response->is_complete = 1;
        if (self->response->is_test)
            end(self->response, NULL, 1);
    } else if (part == NULL) {
        self->is_over = 1;
        fail(self->response);
    }
    PyObject *error = take_error(), *context = PyObject_CallNoArgs(functions[GET_CURRENT]);
    Py_XSETREF(self->context, context);
    if (error != NULL && context != NULL)
        raise_again(error);
    else
        Py_XDECREF(error);
    if (!detach(token) || context == NULL)
        Py_CLEAR(part);
    return part;
}

static PyObject *
Body_next(Body *self)
{
    Response *response = self->response;
    if (self->is_over)
        return NULL;
    if (self->is_given) {
        response->sent += response->pending;
        response->pending = 0;
        self->is_given = 0;
    }
    if (self->context == NULL && (self->context = PyObject_GetAttr(response->server, context_name)) == NULL)
        return NULL;
    PyObject *part = make_part(self);
    if (part != NULL && !note_part(self, part))
        Py_CLEAR(part);
    return part;
}

/* The method that closes a body, or what does as little. */
static PyObject *
close_of(PyObject *body)
{
    PyObject *close = PyObject_GetAttr(body, close_name);
    if (close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return Py_NewRef((PyObject *)&PyTuple_Type);
    }
    return close;
}

static PyObject *
Body_close(Body *self, PyObject *Py_UNUSED(none))
{
    Response *response = self->response;
    PyObject *problem = PyErr_GetHandledException(), *close = close_of(self->body);
    PyObject *token = close == NULL ? NULL : attach_to(response);
    PyObject *closed = token == NULL ? NULL : PyObject_CallNoArgs(close);
    Py_XDECREF(close);
    if (token != NULL) {
        if (closed == NULL)
            fail(response);
        int is_detached = detach(token);
        PyObject *error = take_error();
        int is_ended = end(response, problem, 1);
        if (error != NULL && is_ended)
            raise_again(error);
        else
            Py_XDECREF(error);
        if (!is_detached || !is_ended)
            Py_CLEAR(closed);
    }
    Py_XDECREF(problem);
    if (closed == NULL)
        return NULL;
    Py_DECREF(closed);
    Py_RETURN_NONE;
}

/* A server that does not close what it was given. */
static void
Body_finalize(Body *self)
{
    PyObject *error = take_error();
    if (self->response != NULL && !end(self->response, NULL, 0))
        PyErr_WriteUnraisable((PyObject *)self);
    if (error != NULL)
        raise_again(error);
}

static int
Body_traverse(Body *self, visitproc visit, void *arg)
{
    Py_VISIT(self->response);
    Py_VISIT(self->body);
    Py_VISIT(self->parts);
    Py_VISIT(self->context);
    return 0;
}

static int
Body_clear(Body *self)
{
    Py_CLEAR(self->response);
    Py_CLEAR(self->body);
    Py_CLEAR(self->parts);
    Py_CLEAR(self->context);
    return 0;
}

static void
Body_dealloc(Body *self)
{
    if (Py_TYPE(self)->tp_finalize != NULL && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    Body_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
SizedBody_iter(Body *self)
{
    return new_body(&PartsType, self->response, self->body);
}

static Py_ssize_t
SizedBody_length(Body *self)
{
    return PyObject_Size(self->body);
}

static PyMethodDef Body_methods[] = {
    {"close", (PyCFunction)Body_close, METH_NOARGS, "Close the body."},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods SizedBody_sequence = {.sq_length = (lenfunc)SizedBody_length};

#define BODY(kind)                                                                                                     \
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "dashcam.record._response." kind, .tp_basicsize = sizeof(Body),           \
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,                           \
    .tp_traverse = (traverseproc)Body_traverse, .tp_clear = (inquiry)Body_clear, .tp_dealloc = (destructor)Body_dealloc

static PyTypeObject PartsType = {
    BODY("Parts"),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)Body_next,
};

static PyTypeObject BodyType = {
    BODY("Body"),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)Body_next,
    .tp_methods = Body_methods,
    .tp_finalize = (destructor)Body_finalize,
};

static PyTypeObject SizedBodyType = {
    BODY("SizedBody"),
    .tp_iter = (getiterfunc)SizedBody_iter,
    .tp_iternext = (iternextfunc)Body_next,
    .tp_methods = Body_methods,
    .tp_as_sequence = &SizedBody_sequence,
    .tp_finalize = (destructor)Body_finalize,
};

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != FUNCTIONS + 3 || !PyUnicode_Check(arguments[FUNCTIONS + 1]) || !PyUnicode_Check(arguments[FUNCTIONS + 2])) {
        PyErr_SetString(PyExc_TypeError, "use takes functions, partial, the key of the request ID, and its header");
        return NULL;
    }
    for (int i = 0; i < FUNCTIONS; i++)
        Py_XSETREF(functions[i], Py_NewRef(arguments[i]));
    Py_XSETREF(partial, Py_NewRef(arguments[FUNCTIONS]));
    Py_XSETREF(id_key, Py_NewRef(arguments[FUNCTIONS + 1]));
    Py_XSETREF(id_header, Py_NewRef(arguments[FUNCTIONS + 2]));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"use", (PyCFunction)(void (*)(void))use, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_response", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC
PyInit__response(void)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].object = PyUnicode_InternFromString(names[i].text)) == NULL)
            return NULL;
    PyTypeObject *types[] = {&ResponseType, &PartsType, &BodyType, &SizedBodyType};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyType_Ready(types[i]) < 0)
            return NULL;
    PyObject *created = PyModule_Create(&module);
    if (created != NULL && PyModule_AddObjectRef(created, "Response", (PyObject *)&ResponseType) < 0)
        Py_CLEAR(created);
    return created;
}
