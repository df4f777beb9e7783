/* A CUDA driver of our own, for tests: the functions that derain.engines.device uses, over the host's memory.

   Two devices. A stream's work is done when somebody waits for it, or asks whether it is done, which does one piece
   more; so what is not waited for is not there. What a real driver forbids is answered with its error code and noted
   in fake_misuse(): things used after they were destroyed, work without a context or on the default stream, copies
   beyond an end, contexts released with things alive. Copies of memory that is not page-locked are staged, as a real
   driver stages them. */

#include "fake_cuda.h"

/* The driver. Its functions have the names under which libcuda.so.1 has them. */

Code cuInit(unsigned flags) {
  ENTER("cuInit");
  started = flags == 0;
  return SUCCESS;
}

Code cuDriverGetVersion(int *version) {
  ENTER("cuDriverGetVersion");
  *version = 13010;
  return SUCCESS;
}

Code cuDeviceGetCount(int *count) {
  ENTER("cuDeviceGetCount");
  *count = DEVICES;
  return SUCCESS;
}

Code cuDeviceGet(int *device, int index) {
  ENTER("cuDeviceGet");
  MUST(0 <= index && index < DEVICES, INVALID_DEVICE, "cuDeviceGet", "no such device");
  *device = index;
  return SUCCESS;
}

Code cuDeviceGetName(char *name, int size, int device) {
  ENTER("cuDeviceGetName");
  snprintf(name, size, "Fake GPU %d", device);
  return SUCCESS;
}

Code cuDeviceGetAttribute(int *value, int attribute, int device) {
  ENTER("cuDeviceGetAttribute");
  MUST(attribute == 75 || attribute == 76, INVALID_VALUE, "cuDeviceGetAttribute", "not an attribute it knows");
  *value = attribute == 75 ? 8 : 6 + 3 * device;
  return SUCCESS;
}

Code cuDeviceComputeCapability(int *major, int *minor, int device) {
  ENTER("cuDeviceComputeCapability");
  *major = 8;
  *minor = 6 + 3 * device;
  return SUCCESS;
}

Code cuDeviceTotalMem_v2(size_t *bytes, int device) {
  ENTER("cuDeviceTotalMem");
  (void)device;
  *bytes = TOTAL;
  return SUCCESS;
}

Code cuDevicePrimaryCtxRetain(void **context, int device) {
  ENTER("cuDevicePrimaryCtxRetain");
  retained[device]++;
  *context = &contexts[device];
  return SUCCESS;
}

Code cuDevicePrimaryCtxRelease_v2(int device) {
  ENTER("cuDevicePrimaryCtxRelease");
  MUST(retained[device], INVALID_CONTEXT, "cuDevicePrimaryCtxRelease", "released once too often");
  if (--retained[device]) return SUCCESS;
  for (Thing *thing = alive; thing; thing = thing->next)
    MUST(thing->device != device, SUCCESS, "cuDevicePrimaryCtxRelease", "something in the context was not released");
  return SUCCESS;
}

Code cuCtxPushCurrent_v2(void *context) {
  ENTER("cuCtxPushCurrent");
  int device = (int)((int *)context - contexts);
  MUST(0 <= device && device < DEVICES && retained[device], INVALID_CONTEXT, "cuCtxPushCurrent", "not a context");
  MUST(depth < DEPTH, INVALID_CONTEXT, "cuCtxPushCurrent", "pushed and never popped");
  stack[depth++] = context;
  return SUCCESS;
}

Code cuCtxPopCurrent_v2(void **context) {
  ENTER_CONTEXT("cuCtxPopCurrent");
  *context = stack[--depth];
  return SUCCESS;
}

Code cuGetErrorString(Code code, const char **text) {
  static _Thread_local char written[64];
  snprintf(written, sizeof written, code == OUT_OF_MEMORY ? "out of memory" : "fake error %d", code);
  *text = written;
  return SUCCESS;
}

Code cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  ENTER_CONTEXT("cuMemGetInfo");
  *total = TOTAL;
  *free_bytes = TOTAL - used(current_device());
  return SUCCESS;
}

Code cuMemAlloc_v2(Pointer *pointer, size_t size) {
  ENTER_CONTEXT("cuMemAlloc");
  MUST(!capturing, CAPTURE_UNSUPPORTED, "cuMemAlloc", "in the midst of a capture");
  if (size > TOTAL - used(current_device())) return OUT_OF_MEMORY;
  char *start = malloc(size);
  memset(start, 0xA5, size);
  *pointer = (Pointer)(uintptr_t)add(MEMORY, start, size);
  return SUCCESS;
}

Code cuMemFree_v2(Pointer pointer) {
  ENTER_CONTEXT("cuMemFree");
  finish_all();
  MUST(take_away(MEMORY, (void *)(uintptr_t)pointer), INVALID_VALUE, "cuMemFree", "not allocated");
  free((void *)(uintptr_t)pointer);
  return SUCCESS;
}

Code cuMemHostRegister_v2(void *start, size_t size, unsigned flags) {
  ENTER_CONTEXT("cuMemHostRegister");
  (void)flags;
  MUST((uintptr_t)start % PAGE == 0 && size % PAGE == 0, INVALID_VALUE, "cuMemHostRegister", "not whole pages");
  MUST(!inside(PINNED, start, 1), 712, "cuMemHostRegister", "registered already");
  add(PINNED, start, size);
  return SUCCESS;
}

Code cuMemHostUnregister(void *start) {
  ENTER_CONTEXT("cuMemHostUnregister");
  finish_all();
  MUST(take_away(PINNED, start), 713, "cuMemHostUnregister", "not registered");
  return SUCCESS;
}

Code cuMemcpyHtoDAsync_v2(Pointer pointer, const void *from, size_t size, Stream *stream) {
  static const char name[] = "cuMemcpyHtoDAsync";
  ENTER_CONTEXT(name);
  STREAM_OF(stream, name);
  void *to = (void *)(uintptr_t)pointer;
  MUST(inside(MEMORY, to, size), INVALID_VALUE, name, "beyond the memory that was allocated");
  if (!inside(PINNED, from, size) && !stream->capturing) from = memcpy(malloc(size), from, size);
  submit(stream, (Piece){.kind = COPY, .to = to, .from = from, .size = size});
  return SUCCESS;
}

Code cuMemcpyDtoHAsync_v2(void *to, Pointer pointer, size_t size, Stream *stream) {
  static const char name[] = "cuMemcpyDtoHAsync";
  ENTER_CONTEXT(name);
  STREAM_OF(stream, name);
  const void *from = (void *)(uintptr_t)pointer;
  MUST(inside(MEMORY, from, size), INVALID_VALUE, name, "beyond the memory that was allocated");
  submit(stream, (Piece){.kind = COPY, .to = to, .from = from, .size = size});
  if (!inside(PINNED, to, size) && !stream->capturing) finish(stream);
  return SUCCESS;
}

Code cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t size, Stream *stream) {
  static const char name[] = "cuMemcpyDtoDAsync";
  ENTER_CONTEXT(name);
  STREAM_OF(stream, name);
  void *target = (void *)(uintptr_t)to, *source = (void *)(uintptr_t)from;
  MUST(inside(MEMORY, target, size) && inside(MEMORY, source, size), INVALID_VALUE, name, "beyond the memory");
  submit(stream, (Piece){.kind = COPY, .to = target, .from = source, .size = size});
  return SUCCESS;
}

Code cuMemsetD8Async(Pointer pointer, unsigned char value, size_t size, Stream *stream) {
  static const char name[] = "cuMemsetD8Async";
  ENTER_CONTEXT(name);
  STREAM_OF(stream, name);
  void *to = (void *)(uintptr_t)pointer;
  MUST(inside(MEMORY, to, size), INVALID_VALUE, name, "beyond the memory that was allocated");
  submit(stream, (Piece){.kind = SET, .to = to, .value = value, .size = size});
  return SUCCESS;
}

Code cuStreamCreate(Stream **stream, unsigned flags) {
  ENTER_CONTEXT("cuStreamCreate");
  MUST(flags == 1, INVALID_VALUE, "cuStreamCreate", "a stream that waits for the default stream");
  *stream = add(STREAM, calloc(1, sizeof **stream), 0);
  return SUCCESS;
}

Code cuStreamDestroy_v2(Stream *stream) {
  ENTER_CONTEXT("cuStreamDestroy");
  STREAM_OF(stream, "cuStreamDestroy");
  MUST(!stream->work.first, SUCCESS, "cuStreamDestroy", "with work that nobody waited for");
  MUST(!stream->capturing, SUCCESS, "cuStreamDestroy", "in the midst of a capture");
  take_away(STREAM, stream);
  return SUCCESS;
}

Code cuStreamSynchronize(Stream *stream) {
  ENTER_CONTEXT("cuStreamSynchronize");
  STREAM_OF(stream, "cuStreamSynchronize");
  if (stream->capturing) {
    stream->invalid = 1;
    return wrong(CAPTURE_UNSUPPORTED, "cuStreamSynchronize", "in the midst of a capture");
  }
  finish(stream);
  return SUCCESS;
}

Code cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
  ENTER_CONTEXT("cuStreamWaitEvent");
  STREAM_OF(stream, "cuStreamWaitEvent");
  EVENT_OF(event, "cuStreamWaitEvent");
  (void)flags;
  if (event->place) submit(stream, (Piece){.kind = REACH, .place = event->place});
  return SUCCESS;
}

Code cuEventCreate(Event **event, unsigned flags) {
  ENTER_CONTEXT("cuEventCreate");
  *event = add(EVENT, calloc(1, sizeof **event), 0);
  (*event)->timing = !(flags & 2);
  return SUCCESS;
}

Code cuEventDestroy_v2(Event *event) {
  ENTER_CONTEXT("cuEventDestroy");
  MUST(take_away(EVENT, event), INVALID_HANDLE, "cuEventDestroy", "not an event of this context");
  return SUCCESS;
}

Code cuEventRecord(Event *event, Stream *stream) {
  ENTER_CONTEXT("cuEventRecord");
  EVENT_OF(event, "cuEventRecord");
  STREAM_OF(stream, "cuEventRecord");
  event->place = calloc(1, sizeof *event->place);
  event->place->stream = stream;
  submit(stream, (Piece){.kind = PASS, .place = event->place});
  return SUCCESS;
}

Code cuEventQuery(Event *event) {
  ENTER_CONTEXT("cuEventQuery");
  EVENT_OF(event, "cuEventQuery");
  if (!event->place || event->place->passed) return SUCCESS;
  step(event->place->stream);
  return event->place->passed ? SUCCESS : NOT_READY;
}

Code cuEventSynchronize(Event *event) {
  ENTER_CONTEXT("cuEventSynchronize");
  EVENT_OF(event, "cuEventSynchronize");
  if (event->place) reach(event->place);
  return SUCCESS;
}

Code cuEventElapsedTime_v2(float *milliseconds, Event *first, Event *second) {
  ENTER_CONTEXT("cuEventElapsedTime");
  EVENT_OF(first, "cuEventElapsedTime");
  EVENT_OF(second, "cuEventElapsedTime");
  if (!first->timing || !second->timing || !first->place || !second->place) return INVALID_HANDLE;
  if (!first->place->passed || !second->place->passed) return NOT_READY;
  *milliseconds = (float)(second->place->when - first->place->when);
  return SUCCESS;
}

Code cuEventElapsedTime(float *milliseconds, Event *first, Event *second) {
  return cuEventElapsedTime_v2(milliseconds, first, second);
}

Code cuStreamBeginCapture_v2(Stream *stream, int mode) {
  ENTER_CONTEXT("cuStreamBeginCapture");
  STREAM_OF(stream, "cuStreamBeginCapture");
  MUST(mode == 1, INVALID_VALUE, "cuStreamBeginCapture", "a capture that hinders other threads");
  stream->captured = (Work){NULL, NULL};
  stream->capturing = capturing = 1;
  return SUCCESS;
}

/* A graph, and what is made of it, is the list of its pieces. */

Code cuStreamEndCapture(Stream *stream, Work **graph) {
  STREAM_OF(stream, "cuStreamEndCapture");
  MUST(stream->capturing, INVALID_VALUE, "cuStreamEndCapture", "nothing is captured");
  int invalid = stream->invalid;
  stream->capturing = stream->invalid = capturing = 0; /* Even where it fails. */
  ENTER_CONTEXT("cuStreamEndCapture");
  *graph = NULL;
  if (invalid) return CAPTURE_INVALIDATED;
  *graph = add(GRAPH, malloc(sizeof **graph), 0);
  **graph = stream->captured;
  return SUCCESS;
}

Code cuGraphInstantiateWithFlags(Work **executable, Work *graph, unsigned long long flags) {
  ENTER_CONTEXT("cuGraphInstantiate");
  MUST(find(GRAPH, graph), INVALID_VALUE, "cuGraphInstantiate", "not a graph");
  (void)flags;
  *executable = add(EXECUTABLE, calloc(1, sizeof **executable), 0);
  for (Piece *piece = graph->first; piece; piece = piece->next) put(*executable, *piece);
  return SUCCESS;
}

Code cuGraphDestroy(Work *graph) {
  ENTER_CONTEXT("cuGraphDestroy");
  MUST(take_away(GRAPH, graph), INVALID_VALUE, "cuGraphDestroy", "not a graph");
  return SUCCESS;
}

Code cuGraphLaunch(Work *executable, Stream *stream) {
  ENTER_CONTEXT("cuGraphLaunch");
  STREAM_OF(stream, "cuGraphLaunch");
  MUST(find(EXECUTABLE, executable), INVALID_VALUE, "cuGraphLaunch", "not an executable graph");
  for (Piece *piece = executable->first; piece; piece = piece->next) submit(stream, *piece);
  return SUCCESS;
}

Code cuGraphExecDestroy(Work *executable) {
  ENTER_CONTEXT("cuGraphExecDestroy");
  MUST(take_away(EXECUTABLE, executable), INVALID_VALUE, "cuGraphExecDestroy", "not an executable graph");
  return SUCCESS;
}

/* cuda.bindings asks for every function by the name that it has in the headers. */

#define V1(name) {#name, (void *)name}
#define V2(name) {#name, (void *)name##_v2}
static const struct { const char *name; void *function; } FUNCTIONS[] = {
  V1(cuInit), V1(cuDriverGetVersion), V1(cuDeviceGetCount), V1(cuDeviceGet), V1(cuDeviceGetName),
  V1(cuDeviceGetAttribute), V2(cuDeviceTotalMem), V1(cuDevicePrimaryCtxRetain), V2(cuDevicePrimaryCtxRelease),
  V2(cuCtxPushCurrent), V2(cuCtxPopCurrent), V1(cuGetErrorString), V2(cuMemGetInfo), V2(cuMemAlloc), V2(cuMemFree),
  V2(cuMemHostRegister), V1(cuMemHostUnregister), V2(cuMemcpyHtoDAsync), V2(cuMemcpyDtoHAsync),
  V2(cuMemcpyDtoDAsync), V1(cuMemsetD8Async), V1(cuStreamCreate), V2(cuStreamDestroy), V1(cuStreamSynchronize),
  V1(cuStreamWaitEvent), V1(cuEventCreate), V2(cuEventDestroy), V1(cuEventRecord), V1(cuEventQuery),
  V1(cuEventSynchronize), V2(cuEventElapsedTime), V2(cuStreamBeginCapture), V1(cuStreamEndCapture),
  V1(cuGraphInstantiateWithFlags), {"cuGraphInstantiate", (void *)cuGraphInstantiateWithFlags}, V1(cuGraphDestroy),
  V1(cuGraphLaunch), V1(cuGraphExecDestroy),
};

Code cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found) {
  (void)version, (void)flags;
  *function = NULL;
  for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
    if (!strcmp(FUNCTIONS[i].name, name)) *function = FUNCTIONS[i].function;
  if (found) *found = *function ? 0 : 1;
  return *function ? SUCCESS : NOT_FOUND;
}
