/**
 * The next hop of the bench, in a process of its own. It keeps a bit a recipient and no text, so that it costs a fraction of what
 * any relay costs; the bench prints that fraction for each run.
 */
import { EventEmitter, once } from 'node:events';
import { startProcess } from '../../support/processes.ts';

export type SinkRequest =
  | { readonly type: 'listen'; readonly address: string; readonly chunking: boolean }
  | ({ readonly type: 'begin' } & SinkRun)
  | { readonly type: 'count' };

export type SinkAnswer =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'begun' }
  | { readonly type: 'complete' }
  | { readonly type: 'counted'; readonly counts: SinkCounts };

export interface SinkRun {
  /** Which one: recipients of another run are strays. */
  readonly run: number;
  /** Recipients numbered from 1. */
  readonly expected: number;
  /** Each n-th recipient is deferred once; 0: none. */
  readonly deferEvery: number;
  readonly looksForSignatures: boolean;
}

export interface SinkCounts {
  readonly taken: number;
  readonly duplicates: number;
  readonly strays: number;
  readonly deferred: number;
  readonly signed: number;
  readonly connections: number;
  /** When the last recipient was served, on the system's clock since boot. */
  readonly lastMs: number;
}

export interface Sink extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  begin(run: SinkRun): Promise<void>;
  /** Resolves when every recipient of the run was served. */
  complete(limitMs: number): Promise<SinkCounts>;
  counts(): Promise<SinkCounts>;
}

const answerLimitMs = 30_000;

export async function startSink({ address = '127.0.0.1', chunking = true } = {}): Promise<Sink> {
  const owned = startProcess(process.execPath, [new URL('sink-process.ts', import.meta.url).pathname], { ipc: true });
  const answers = new EventEmitter();
  owned.child.on('message', message => {
    const answer = message as SinkAnswer;
    answers.emit(answer.type, answer);
  });
  const ended = owned.exited.then(({ code }): never => {
    throw new Error(`the sink ended with ${code}: ${owned.errors()}`);
  });
  // Whoever waits for it hears of it.
  ended.catch(() => undefined);

  async function ask<T extends SinkAnswer['type']>(
    request: SinkRequest,
    type: T,
  ): Promise<Extract<SinkAnswer, { type: T }>> {
    const answered = once(answers, type, { signal: AbortSignal.timeout(answerLimitMs) });
    owned.child.send(request);
    const [answer] = await Promise.race([answered, ended]);
    return answer;
  }

  const counts = async (): Promise<SinkCounts> => (await ask({ type: 'count' }, 'counted')).counts;
  let completed: Promise<unknown> = Promise.resolve();
  const { port } = await ask({ type: 'listen', address, chunking }, 'listening');
  return {
    pid: owned.pid,
    port,
    async begin(run) {
      completed = once(answers, 'complete');
      await ask({ type: 'begin', ...run }, 'begun');
    },
    async complete(limitMs) {
      await within(Promise.race([completed, ended]), limitMs, counts);
      return await counts();
    },
    counts,
    [Symbol.asyncDispose]: async () => void (await owned.stop('SIGKILL')),
  };
}

async function within(done: Promise<unknown>, limitMs: number, counts: () => Promise<SinkCounts>): Promise<void> {
  const late = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => late.resolve('late'), limitMs);
  try {
    if ((await Promise.race([done, late.promise])) !== 'late') return;
    throw new Error(`not all arrived within ${limitMs / 1000} s: ${JSON.stringify(await counts())}`);
  } finally {
    clearTimeout(timer);
  }
}
