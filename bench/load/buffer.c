#include "load.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct buffer *buffer, size_t length) {
  if (buffer->length + length <= buffer->capacity) return;
  buffer->capacity = (buffer->length + length) * 2;
  buffer->bytes = realloc(buffer->bytes, buffer->capacity);
  if (buffer->bytes == NULL) fail("out of memory");
}

void append_padding(struct buffer *buffer, size_t length) {
  reserve(buffer, length);
  memset(buffer->bytes + buffer->length, 'x', length);
  buffer->length += length;
}

void append(struct buffer *buffer, const void *bytes, size_t length) {
  if (length == 0) return;
  reserve(buffer, length);
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  exit(3);
}
