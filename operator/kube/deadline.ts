import type { Clock } from '../../relay/clock.ts';

interface Deadline {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** What the work is aborted with when its time is over. */
  readonly reason: () => Error;
}

/**
 * Does the work with a signal of its own that follows `signal` and is aborted after `limitMs`. (AbortSignal.any keeps a trace of every
 * short signal in the long one it was made of; a process's signal sees millions of requests.)
 */
export async function withDeadline<T>(
  { clock, limitMs, signal, reason }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using linked = linkedSignal(signal);
  const done = new AbortController();
  const timer = clock.sleep(limitMs, done.signal).then(
    () => linked.abort(reason()),
    // Only ever the work that ended first.
    () => undefined,
  );
  try {
    return await work(linked.signal);
  } catch (error) {
    // Whatever the abort made the work say, why it was aborted says more.
    throw linked.signal.aborted ? linked.signal.reason : error;
  } finally {
    done.abort(over);
    await timer;
  }
}

/** Without a reason each abort would make an error, with its stack. */
const over = 'the work is over';

interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
}

/** A signal that is aborted with its parent or alone; disposing of it lets go of the parent. */
export function linkedSignal(parent: AbortSignal): LinkedSignal {
  const controller = new AbortController();
  const follow = (): void => controller.abort(parent.reason);
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    [Symbol.dispose]: () => parent.removeEventListener('abort', follow),
  };
}

/** A linked signal that is aborted after a time as well; nothing of it is left once it is disposed of. */
export function limitedSignal(parent: AbortSignal, limitMs: number): LinkedSignal {
  const linked = linkedSignal(parent);
  const timer = setTimeout(() => linked.abort(new DOMException('no answer in time', 'TimeoutError')), limitMs).unref();
  return {
    ...linked,
    [Symbol.dispose]() {
      clearTimeout(timer);
      linked[Symbol.dispose]();
    },
  };
}

/** Waits for what ends early when the signal is aborted, which whoever waits looks at next. Any other failure is thrown. */
export async function orAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await waiting;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** What the promise gives, unless the signal is aborted first. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
