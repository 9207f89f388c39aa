#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_list(const char *text, int *into, int max) {
  int count = 0;
  char *copy = strdup(text), *rest = copy, *part;
  while ((part = strsep(&rest, ",")) != NULL) {
    if (count == max) fail("more than %d in the list %s", max, text);
    into[count++] = atoi(part);
  }
  free(copy);
  return count;
}

static bool read_number(struct options *o, const char *name, const char *value) {
  struct { const char *name; int *whole; double *real; } numbers[] = {
    { "--members", &o->members, NULL }, { "--rooms", &o->rooms, NULL },     { "--window", &o->window, NULL },
    { "--size", &o->size, NULL },       { "--dialing", &o->dialing, NULL }, { "--rate", NULL, &o->rate },
    { "--slow", NULL, &o->slow_share }, { "--warm", NULL, &o->warm_s },     { "--seconds", NULL, &o->run_s },
    { "--settle", NULL, &o->settle_s }, { "--limit", NULL, &o->limit_s },
    { "--everybody", &o->everybody, NULL },
  };
  for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
    if (strcmp(name, numbers[n].name) != 0) continue;
    if (numbers[n].whole != NULL) *numbers[n].whole = atoi(value);
    else *numbers[n].real = atof(value);
    return true;
  }
  return false;
}

static bool read_text(struct options *o, const char *name, const char *value) {
  struct { const char *name; const char **text; } texts[] = {
    { "--path", &o->path },       { "--hello", &o->hello },     { "--ready", &o->ready }, { "--join", &o->join },
    { "--joined", &o->joined },   { "--message", &o->message }, { "--ping", &o->ping },   { "--pong", &o->pong },
    { "--tokens", &o->tokens_file },
  };
  for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
    if (strcmp(name, texts[n].name) != 0) continue;
    *texts[n].text = value;
    return true;
  }
  return false;
}

void read_options(struct options *options, int count, char **words) {
  *options = (struct options){ .members = 500, .rooms = 1, .window = 8, .size = 64, .dialing = 1, .warm_s = 1,
                               .run_s = 5, .settle_s = 1, .limit_s = 120, .path = "/" };
  for (int n = 1; n < count; n += 2) {
    const char *name = words[n], *value = words[n + 1];
    if (n + 1 >= count) fail("no value for %s", name);
    if (strcmp(name, "--ports") == 0) options->port_count = read_list(value, options->ports, MAX_PORTS);
    else if (strcmp(name, "--pids") == 0) options->pid_count = read_list(value, options->pids, MAX_PIDS);
    else if (!read_number(options, name, value) && !read_text(options, name, value)) fail("unknown option %s", name);
  }
  if (options->port_count == 0) fail("--ports is missing");
  if (options->join == NULL || options->joined == NULL || options->message == NULL)
    fail("--join, --joined and --message say what the server speaks");
  if (options->members < options->rooms || options->rooms < 1) fail("each room needs a member");
  if (options->everybody && options->slow_share > 0) fail("where everybody speaks, everybody reads");
}

/** Appends the template with its %NAMES% filled in. */
void fill(struct buffer *into, const char *template, int room, uint64_t seq, uint64_t stamp_ns, int pad,
          const char *token) {
  char number[32];
  while (*template != 0) {
    const char *mark = strchr(template, '%');
    if (mark == NULL) mark = template + strlen(template);
    append(into, template, (size_t)(mark - template));
    template = mark;
    if (*mark == 0) return;
    const char *end = strchr(mark + 1, '%');
    size_t length = end == NULL ? 0 : (size_t)(end - mark + 1);
    int digits = -1;
    if (length == 6 && strncmp(mark, "%ROOM%", 6) == 0) digits = snprintf(number, sizeof number, "%d", room);
    else if (length == 5 && strncmp(mark, "%SEQ%", 5) == 0)
      digits = snprintf(number, sizeof number, "%llu", (unsigned long long)seq);
    else if (length == 3 && strncmp(mark, "%T%", 3) == 0)
      digits = snprintf(number, sizeof number, "%llu", (unsigned long long)stamp_ns);
    if (digits >= 0) append(into, number, (size_t)digits);
    else if (length == 7 && strncmp(mark, "%TOKEN%", 7) == 0) append(into, token, strlen(token));
    else if (length == 5 && strncmp(mark, "%PAD%", 5) == 0) {
      append_padding(into, (size_t)pad);
    } else {
      append(into, "%", 1);
      length = 1;
    }
    template += length;
  }
}
