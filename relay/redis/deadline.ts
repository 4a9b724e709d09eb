/** The end of a wait for an answer. */

/** Later than this a timer is only where the process stood still: it was stopped, or its machine slept. */
const standstillMs = 200;
/** For the answers that came meanwhile to be read: timers run before sockets are looked at. */
const readingMs = 500;

export interface Deadline {
  /** `ms` have passed in which this process could have heard an answer. */
  readonly over: Promise<'late'>;
  cancel(): void;
}

export function deadline(ms: number): Deadline {
  const { promise, resolve } = Promise.withResolvers<'late'>();
  const endMs = performance.now() + ms;
  let timer = setTimeout(() => {
    if (performance.now() - endMs < standstillMs) resolve('late');
    else timer = setTimeout(() => resolve('late'), readingMs);
  }, ms);
  return { over: promise, cancel: () => clearTimeout(timer) };
}
