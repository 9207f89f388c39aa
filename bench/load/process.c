// What the kernel says of the servers' processes and of this one.
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/** User and system time of all threads of a process; the kernel rounds the sum to 10 ms. */
static double cpu_of(int pid) {
  char path[64], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("the server's process %d is gone", pid);
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  // The command's name may hold spaces and brackets; the fields begin behind its last one.
  char *fields = strrchr(text, ')');
  unsigned long user, system;
  const char *format = " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu";
  if (fields == NULL || sscanf(fields + 1, format, &user, &system) != 2) fail("cannot read %s", path);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double cpu_seconds(const int *pids, int count) {
  double sum = 0;
  for (int n = 0; n < count; n++) sum += cpu_of(pids[n]);
  return sum;
}

double own_cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

long rss_kib(const int *pids, int count) {
  long sum = 0;
  for (int n = 0; n < count; n++) {
    char path[64];
    long pages;
    snprintf(path, sizeof path, "/proc/%d/statm", pids[n]);
    FILE *file = fopen(path, "r");
    if (file == NULL) continue;
    if (fscanf(file, "%*d %ld", &pages) == 1) sum += pages * (sysconf(_SC_PAGESIZE) / 1024);
    fclose(file);
  }
  return sum;
}
