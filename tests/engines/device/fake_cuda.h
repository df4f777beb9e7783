/* What the fake driver is made of: things with an owner, work in streams, and what tests may ask for and make fail. */

#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int Code;
typedef unsigned long long Pointer;

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };
enum { DEVICES = 2, DEPTH = 16, NAMES = 64, PAGE = 4096 };
enum Kind { MEMORY, PINNED, STREAM, EVENT, GRAPH, EXECUTABLE };
static const size_t TOTAL = (size_t)64 << 20;

typedef struct Stream Stream;
typedef struct { Stream *stream; int passed; double when; } Place;
typedef struct Piece {
  enum { COPY, SET, PASS, REACH } kind;
  void *to;
  const void *from;
  size_t size;
  int value;
  Place *place;
  struct Piece *next;
} Piece;
typedef struct { Piece *first, *last; } Work;
typedef struct Thing {
  enum Kind kind;
  int device;
  char *start;
  size_t size;
  struct Thing *next;
} Thing;
struct Stream { Work work, captured; int capturing, invalid; };
typedef struct { Place *place; int timing; } Event;

static int contexts[DEVICES], retained[DEVICES]; /* A context is the address of its device's place in `contexts`. */
static _Thread_local void *stack[DEPTH];
static _Thread_local int depth, capturing;
static Thing *alive;
static int started;
static char misuse[512];
static char called[NAMES][48];
static int calls;
static char failing[48];
static int failing_code;

/* What tests ask for. */

void fake_reset(void) {
  alive = NULL;
  memset(retained, 0, sizeof retained);
  depth = capturing = calls = 0;
  misuse[0] = failing[0] = 0;
}

void fake_fail(const char *name, int code) {
  snprintf(failing, sizeof failing, "%s", name);
  failing_code = code;
}

const char *fake_misuse(void) { return misuse; }

int fake_depth(void) { return depth; }

int fake_alive(void) {
  int count = 0;
  for (Thing *thing = alive; thing; thing = thing->next) count++;
  for (int device = 0; device < DEVICES; device++) count += retained[device];
  return count;
}

/* The name of the nth function that was called, each once; NULL behind the last. */
const char *fake_called(int index) { return index < calls ? called[index] : NULL; }

/* What every function begins with. */

static Code wrong(Code code, const char *name, const char *what) {
  if (!misuse[0]) snprintf(misuse, sizeof misuse, "%s: %s", name, what);
  return code;
}

static Code enter(const char *name) {
  int known = 0;
  for (int i = 0; i < calls; i++) known |= !strcmp(called[i], name);
  if (!known && calls < NAMES) snprintf(called[calls++], sizeof *called, "%s", name);
  if (!strcmp(failing, name)) return failing_code;
  return started || !strcmp(name, "cuInit") ? SUCCESS : wrong(3, name, "before cuInit");
}

static Code enter_context(const char *name) {
  Code code = enter(name);
  return code || depth ? code : wrong(INVALID_CONTEXT, name, "no context is current");
}

#define ENTER(name) do { Code code = enter(name); if (code) return code; } while (0)
#define ENTER_CONTEXT(name) do { Code code = enter_context(name); if (code) return code; } while (0)
#define MUST(condition, code, name, what) do { if (!(condition)) return wrong(code, name, what); } while (0)

static int current_device(void) { return (int)((int *)stack[depth - 1] - contexts); }

/* Things: memory, streams, events, graphs. */

static void *add(enum Kind kind, void *start, size_t size) {
  Thing *thing = calloc(1, sizeof *thing);
  *thing = (Thing){kind, current_device(), start, size, alive};
  alive = thing;
  return start;
}

static Thing *find(enum Kind kind, const void *start) {
  for (Thing *thing = alive; thing; thing = thing->next)
    if (thing->kind == kind && thing->start == start && thing->device == current_device()) return thing;
  return NULL;
}

static int inside(enum Kind kind, const void *start, size_t size) {
  for (Thing *thing = alive; thing; thing = thing->next)
    if (thing->kind == kind && thing->device == current_device() && thing->start <= (const char *)start &&
        (const char *)start + size <= thing->start + thing->size)
      return 1;
  return 0;
}

static int take_away(enum Kind kind, const void *start) {
  Thing *thing = find(kind, start);
  for (Thing **link = &alive; thing && *link; link = &(*link)->next)
    if (*link == thing) {
      *link = thing->next;
      free(thing);
      return 1;
    }
  return 0;
}

static size_t used(int device) {
  size_t sum = 0;
  for (Thing *thing = alive; thing; thing = thing->next)
    if (thing->kind == MEMORY && thing->device == device) sum += thing->size;
  return sum;
}

/* Work. */

static void put(Work *work, Piece piece) {
  Piece *copy = malloc(sizeof *copy);
  *copy = piece;
  copy->next = NULL;
  if (work->last) work->last->next = copy;
  else work->first = copy;
  work->last = copy;
}

static void submit(Stream *stream, Piece piece) { put(stream->capturing ? &stream->captured : &stream->work, piece); }

static int step(Stream *stream);

static void reach(Place *place) {
  while (!place->passed && step(place->stream)) {}
}

static int step(Stream *stream) {
  Piece *piece = stream->work.first;
  if (!piece) return 0;
  stream->work.first = piece->next;
  if (!piece->next) stream->work.last = NULL;
  struct timespec now;
  switch (piece->kind) {
    case COPY: memcpy(piece->to, piece->from, piece->size); break;
    case SET: memset(piece->to, piece->value, piece->size); break;
    case PASS:
      clock_gettime(CLOCK_MONOTONIC, &now);
      piece->place->when = now.tv_sec * 1e3 + now.tv_nsec / 1e6;
      piece->place->passed = 1;
      break;
    case REACH: reach(piece->place); break;
  }
  free(piece);
  return 1;
}

static void finish(Stream *stream) {
  while (step(stream)) {}
}

static void finish_all(void) {
  for (Thing *thing = alive; thing; thing = thing->next)
    if (thing->kind == STREAM) finish((Stream *)thing->start);
}

static Code good_stream(Stream *stream, const char *name) {
  MUST(stream, INVALID_HANDLE, name, "the default stream");
  MUST(find(STREAM, stream), INVALID_HANDLE, name, "not a stream of this context");
  return SUCCESS;
}

static Code good_event(Event *event, const char *name) {
  MUST(find(EVENT, event), INVALID_HANDLE, name, "not an event of this context");
  return SUCCESS;
}

#define STREAM_OF(stream, name) do { Code code = good_stream(stream, name); if (code) return code; } while (0)
#define EVENT_OF(event, name) do { Code code = good_event(event, name); if (code) return code; } while (0)
