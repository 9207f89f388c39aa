// A clock that is ahead, for a redis-server of a test: a library that is loaded before the C library.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
  int result = real(time, zone);
  long long micros = time->tv_sec * 1000000LL + time->tv_usec + atol(getenv("SKEW_MS")) * 1000LL;
  time->tv_sec = micros / 1000000;
  time->tv_usec = micros % 1000000;
  return result;
}
`
let library: string | undefined

/** The environment in which a server's clock is so far ahead. */
export function skewedClock(aheadMs: number): Record<string, string> {
  if (aheadMs === 0) return {}
  library ??= compile()
  return { LD_PRELOAD: library, SKEW_MS: String(aheadMs) }
}

function compile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-skew-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [source, built] = [join(folder, 'skew.c'), join(folder, 'skew.so')]
  writeFileSync(source, SOURCE)
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', built, source, '-ldl'])
  return built
}
