/* The Python side: capsules of the queue's ends, and functions that call what is in such a capsule.
 *
 * Only `open_receiver` and `open_sender` know the queue. All else holds for any transport with these tables.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "queue.h"

/* Raised with a number (see spead_transport.h), the system's error number and a message. */
static PyObject *failure;

static PyObject *raise_failure(ptrdiff_t result, spead_error *error) {
    error->message[sizeof error->message - 1] = '\0';
    PyObject *arguments = Py_BuildValue("nis", (Py_ssize_t)result, error->error_number, error->message);
    if (arguments) PyErr_SetObject(failure, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

static const spead_sender *sender_in(PyObject *capsule) {
    return PyCapsule_GetPointer(capsule, SPEAD_SENDER_CAPSULE);
}

static const spead_receiver *receiver_in(PyObject *capsule) {
    return PyCapsule_GetPointer(capsule, SPEAD_RECEIVER_CAPSULE);
}

/* ------------------------------------------------------------------------------------------------ opening the ends */

/* --8<-- [start:capsules] */
static void free_sender(PyObject *capsule) { cqueue_free_sender(sender_in(capsule)); }

static void free_receiver(PyObject *capsule) { cqueue_free_receiver(receiver_in(capsule)); }

static PyObject *open_receiver(PyObject *module, PyObject *max_packets) {
    (void)module;
    const size_t limit = PyLong_AsSize_t(max_packets);
    if (limit == (size_t)-1 && PyErr_Occurred()) return NULL;
    const spead_receiver *receiver = cqueue_open_receiver(limit);
    if (!receiver) return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *capsule = PyCapsule_New((void *)receiver, SPEAD_RECEIVER_CAPSULE, free_receiver);
    if (!capsule) cqueue_free_receiver(receiver);
    return capsule;
}

static PyObject *open_sender(PyObject *module, PyObject *to) {
    (void)module;
    const spead_receiver *receiver = receiver_in(to);
    if (!receiver) return NULL;
    const spead_sender *sender = cqueue_open_sender(receiver);
    if (!sender) return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *capsule = PyCapsule_New((void *)sender, SPEAD_SENDER_CAPSULE, free_sender);
    if (!capsule) cqueue_free_sender(sender);
    return capsule;
}
/* --8<-- [end:capsules] */

/* -------------------------------------------------------------------------------------------------- both directions */

static PyObject *get_fileno(PyObject *module, PyObject *capsule) {
    (void)module;
    if (PyCapsule_IsValid(capsule, SPEAD_SENDER_CAPSULE)) {
        const spead_sender *sender = sender_in(capsule);
        return PyLong_FromLong(sender->fileno(sender->self));
    }
    const spead_receiver *receiver = receiver_in(capsule);
    return receiver ? PyLong_FromLong(receiver->fileno(receiver->self)) : NULL;
}

static PyObject *close_end(PyObject *module, PyObject *capsule) {
    (void)module;
    if (PyCapsule_IsValid(capsule, SPEAD_SENDER_CAPSULE)) {
        const spead_sender *sender = sender_in(capsule);
        Py_BEGIN_ALLOW_THREADS
        sender->close(sender->self);
        Py_END_ALLOW_THREADS
    } else {
        const spead_receiver *receiver = receiver_in(capsule);
        if (!receiver) return NULL;
        Py_BEGIN_ALLOW_THREADS
        receiver->close(receiver->self);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------------------------- sending */

/* A block, and one piece of it for each packet, as in PacketBatch. */
typedef struct pieces {
    Py_buffer block;
    Py_buffer offsets;
    Py_buffer sizes;
} pieces;

static size_t count_of(const pieces *self) { return (size_t)self->offsets.len / sizeof(int64_t); }

static bool piece_at(const pieces *self, size_t index, spead_slice *out) {
    const int64_t offset = ((const int64_t *)self->offsets.buf)[index];
    const int64_t size = ((const int64_t *)self->sizes.buf)[index];
    if (offset < 0 || size < 0 || size > self->block.len || offset > self->block.len - size) {
        PyErr_Format(PyExc_ValueError, "packet %zu has %lld bytes at %lld of a block that has %zd", index,
                     (long long)size, (long long)offset, self->block.len);
        return false;
    }
    *out = (spead_slice){(const uint8_t *)self->block.buf + offset, (size_t)size};
    return true;
}

static PyObject *send_pieces(const spead_sender *sender, const pieces *heads, const pieces *bodies) {
    const size_t count = count_of(heads);
    if (heads->sizes.len != heads->offsets.len || bodies->offsets.len != heads->offsets.len ||
        bodies->sizes.len != heads->offsets.len) {
        PyErr_SetString(PyExc_ValueError, "a batch has as many offsets and sizes of heads and of bodies");
        return NULL;
    }
    spead_packet *packets = PyMem_Malloc(count * (sizeof(spead_packet) + 2 * sizeof(spead_slice)) + 1);
    if (!packets) return PyErr_NoMemory();
    spead_slice *slices = (spead_slice *)(packets + count);
    for (size_t i = 0; i < count; i++, slices += 2) {
        if (!piece_at(heads, i, &slices[0]) || !piece_at(bodies, i, &slices[1])) {
            PyMem_Free(packets);
            return NULL;
        }
        packets[i] = (spead_packet){slices, slices[1].size ? 2 : 1, slices[0].size + slices[1].size};
    }
    const spead_batch batch = {.struct_size = sizeof batch, .packets = packets, .num_packets = count};
    spead_error error;
    ptrdiff_t result;
    Py_BEGIN_ALLOW_THREADS
    result = sender->try_send(sender->self, &batch, &error);
    Py_END_ALLOW_THREADS
    PyMem_Free(packets);
    return result < 0 ? raise_failure(result, &error) : PyLong_FromSsize_t(result);
}

static PyObject *try_send(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *capsule;
    pieces heads;
    pieces bodies;
    if (!PyArg_ParseTuple(arguments, "Oy*y*y*y*y*y*", &capsule, &heads.block, &heads.offsets, &heads.sizes,
                          &bodies.block, &bodies.offsets, &bodies.sizes))
        return NULL;
    const spead_sender *sender = sender_in(capsule);
    PyObject *result = sender ? send_pieces(sender, &heads, &bodies) : NULL;
    for (pieces *each = &heads; each; each = each == &heads ? &bodies : NULL) {
        PyBuffer_Release(&each->block);
        PyBuffer_Release(&each->offsets);
        PyBuffer_Release(&each->sizes);
    }
    return result;
}

/* ------------------------------------------------------------------------------------------------------- receiving */

/* A segment as a Python buffer, which keeps it. */
typedef struct segment_object {
    PyObject_HEAD
    spead_segment *segment;
} segment_object;

static PyTypeObject *segment_type;

static int segment_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    const spead_segment *segment = ((segment_object *)self)->segment;
    return PyBuffer_FillInfo(view, self, segment->data, (Py_ssize_t)segment->size, 0, flags);
}

static void segment_dealloc(PyObject *self) {
    spead_segment *segment = ((segment_object *)self)->segment;
    segment->release(segment);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot segment_slots[] = {
    {Py_tp_dealloc, segment_dealloc},
    {Py_bf_getbuffer, segment_getbuffer},
    {Py_tp_doc, "Memory that packets arrived in."},
    {0, NULL},
};

static PyType_Spec segment_spec = {
    .name = "spead_transport_cqueue._native.Segment",
    .basicsize = sizeof(segment_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = segment_slots,
};

static PyObject *segment_to_python(spead_segment *segment) {
    segment_object *object = PyObject_New(segment_object, segment_type);
    if (!object) return NULL;
    segment->retain(segment);
    object->segment = segment;
    return (PyObject *)object;
}

/* Whether each packet is a first slice and what lies in the segment. */
static bool has_bodies(const spead_batch *batch) {
    if (!batch->segment) return false;
    const uint8_t *data = batch->segment->data;
    for (size_t i = 0; i < batch->num_packets; i++) {
        const spead_packet *packet = &batch->packets[i];
        if (packet->num_slices < 2) continue;
        const spead_slice *body = &packet->slices[1];
        const uint8_t *at = body->data;
        if (packet->num_slices > 2 || at < data || at + body->size > data + batch->segment->size) return false;
    }
    return true;
}

/* What becomes of a batch: copies of the heads, and how its packets lie in them and in the bodies. */
typedef struct columns {
    PyObject *heads;
    PyObject *numbers[4];
} columns;

static bool columns_new(columns *self, size_t head_bytes, size_t num_packets) {
    *self = (columns){.heads = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head_bytes)};
    bool complete = self->heads != NULL;
    for (size_t i = 0; i < 4; i++) {
        self->numbers[i] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(num_packets * sizeof(int64_t)));
        complete = complete && self->numbers[i];
    }
    return complete;
}

static void columns_fill(columns *self, const spead_batch *batch, bool with_bodies) {
    uint8_t *heads = (uint8_t *)PyBytes_AS_STRING(self->heads);
    uint8_t *target = heads;
    int64_t *numbers[4];
    for (size_t i = 0; i < 4; i++) numbers[i] = (int64_t *)PyBytes_AS_STRING(self->numbers[i]);
    for (size_t i = 0; i < batch->num_packets; i++) {
        const spead_packet *packet = &batch->packets[i];
        const spead_slice *body = with_bodies && packet->num_slices == 2 ? &packet->slices[1] : NULL;
        numbers[0][i] = target - heads;
        for (size_t s = 0; s < packet->num_slices - (body != NULL); s++) {
            if (packet->slices[s].size > 0) memcpy(target, packet->slices[s].data, packet->slices[s].size);
            target += packet->slices[s].size;
        }
        numbers[1][i] = target - heads - numbers[0][i];
        numbers[2][i] = body ? (const uint8_t *)body->data - batch->segment->data : 0;
        numbers[3][i] = body ? (int64_t)body->size : 0;
    }
}

static PyObject *batch_to_python(const spead_batch *batch) {
    const bool with_bodies = has_bodies(batch);
    size_t head_bytes = 0;
    for (size_t i = 0; i < batch->num_packets; i++) {
        const spead_packet *packet = &batch->packets[i];
        head_bytes += with_bodies && packet->num_slices == 2 ? packet->slices[0].size : packet->size;
    }
    PyObject *result = NULL;
    PyObject *bodies = with_bodies ? segment_to_python(batch->segment) : Py_NewRef(Py_None);
    columns all;
    if (columns_new(&all, head_bytes, batch->num_packets) && bodies) {
        columns_fill(&all, batch, with_bodies);
        result = PyTuple_Pack(6, all.heads, all.numbers[0], all.numbers[1], bodies, all.numbers[2], all.numbers[3]);
    }
    Py_XDECREF(bodies);
    Py_XDECREF(all.heads);
    for (size_t i = 0; i < 4; i++) Py_XDECREF(all.numbers[i]);
    return result;
}

static PyObject *try_recv(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *capsule;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(arguments, "On", &capsule, &limit)) return NULL;
    const spead_receiver *receiver = receiver_in(capsule);
    if (!receiver) return NULL;
    spead_batch batch = {.struct_size = sizeof batch};
    spead_error error;
    ptrdiff_t result;
    Py_BEGIN_ALLOW_THREADS
    result = receiver->try_recv(receiver->self, (size_t)limit, &batch, &error);
    Py_END_ALLOW_THREADS
    if (result < 0) return raise_failure(result, &error);
    batch.num_packets = (size_t)result;
    PyObject *packets = batch_to_python(&batch);
    if (receiver->release_batch) receiver->release_batch(receiver->self);
    return packets;
}

/* ------------------------------------------------------------------------------------------------------ the module */

static PyMethodDef functions[] = {
    {"open_receiver", open_receiver, METH_O, "The receiver of a new queue with room for so many packets; 0: any number."},
    {"open_sender", open_sender, METH_O, "A sender to this receiver."},
    {"fileno", get_fileno, METH_O, "What to wait for."},
    {"close", close_end, METH_O, "Close either end."},
    {"try_send", try_send, METH_VARARGS, "How many packets were taken."},
    {"try_recv", try_recv, METH_VARARGS, "Packets that have arrived."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The compiled module. Not for direct use.", -1, functions, NULL, NULL, NULL, NULL,
};

static bool add_names(PyObject *module) {
    failure = PyErr_NewException("spead_transport_cqueue._native.Failure", NULL, NULL);
    segment_type = (PyTypeObject *)PyType_FromSpec(&segment_spec);
    return failure && segment_type && PyModule_AddObjectRef(module, "Failure", failure) == 0 &&
           PyModule_AddObjectRef(module, "Segment", (PyObject *)segment_type) == 0 &&
           PyModule_AddIntMacro(module, SPEAD_END_OF_STREAM) == 0 && PyModule_AddIntMacro(module, SPEAD_CLOSED) == 0 &&
           PyModule_AddIntMacro(module, SPEAD_BUSY) == 0 && PyModule_AddIntMacro(module, SPEAD_REFUSED) == 0;
}

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && !add_names(module)) Py_CLEAR(module);
    return module;
}
