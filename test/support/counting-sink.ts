/** A next hop in a process of its own that counts what it takes, and misbehaves as told: fast enough not to be the limit. */
import { EventEmitter, once } from 'node:events';
import { startProcess } from './processes.ts';

/** Chances are of 1, decided by seed and recipient, so that a run can be repeated. */
export interface SinkBehaviour {
  readonly seed: number;
  /** Recipients deferred at an attempt: half at RCPT, half at the final dot. */
  readonly defer: number;
  /** Recipients refused for good: half at RCPT, half at the final dot. Never of a message with the null reverse-path. */
  readonly refuse: number;
  /** Transactions whose connection is cut in the middle of the content. */
  readonly dropBefore: number;
  /** Transactions whose connection is cut after the message was taken, in place of the 250. */
  readonly dropAfter: number;
}

export const wellBehaved: SinkBehaviour = { seed: 1, defer: 0, refuse: 0, dropBefore: 0, dropAfter: 0 };

/** One message taken for one recipient. */
export interface Reception {
  readonly recipient: string;
  readonly timeMs: number;
  /** When its transaction began. */
  readonly begunMs: number;
  /** Which connection, counted from 1. */
  readonly connection: number;
  /** By its EHLO. */
  readonly client: string;
  /** The connection was cut in place of the 250. */
  readonly dropped: boolean;
  /** Of a DSN (which has the null reverse-path): the recipients it gave up on, by `Action: failed`. */
  readonly failed?: readonly string[];
}

export interface KeptContent {
  readonly recipient: string;
  readonly timeMs: number;
  /** Without its dot-stuffing undone. */
  readonly content: Buffer;
}

export interface SinkRecord {
  readonly receptions: readonly Reception[];
  /** By connection: when it ended. */
  readonly connectionEnds: ReadonlyMap<number, number>;
  /** By recipient, where bodies are hashed: SHA-256 of what follows the header, and the header itself. */
  readonly bodies: ReadonlyMap<
    string,
    { readonly sha256: string; readonly header: string; readonly sizeBytes: number }
  >;
  readonly contents: readonly KeptContent[];
  readonly counts: {
    readonly connections: number;
    readonly deferred: number;
    readonly refused: number;
    readonly droppedBefore: number;
    readonly droppedAfter: number;
  };
}

export interface SinkOptions {
  readonly behaviour?: SinkBehaviour;
  readonly hashBodies?: boolean;
  /** Of messages to this domain the content is kept, as it came. */
  readonly keptDomain?: string;
  /** Left out: of this machine alone, any port. */
  readonly address?: SinkAddress;
}

export interface SinkAddress {
  readonly host: string;
  readonly port: number;
}

export type SinkRequest =
  | {
      readonly type: 'start';
      readonly behaviour: SinkBehaviour;
      readonly hashBodies: boolean;
      readonly keptDomain: string | undefined;
      readonly at: SinkAddress;
    }
  | { readonly type: 'behave'; readonly behaviour: SinkBehaviour }
  | { readonly type: 'leave' }
  | { readonly type: 'return' }
  | { readonly type: 'count' }
  | { readonly type: 'record' };

export type SinkAnswer =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'behaving' }
  | { readonly type: 'left' }
  | { readonly type: 'counted'; readonly received: number }
  | { readonly type: 'recorded'; readonly record: SinkRecord };

export interface CountingSink extends AsyncDisposable {
  readonly port: number;
  behave(behaviour: SinkBehaviour): Promise<void>;
  /** Cuts every connection and listens no more. */
  leave(): Promise<void>;
  /** Listens again where it did. */
  return(): Promise<void>;
  /** Receptions so far. */
  received(): Promise<number>;
  record(): Promise<SinkRecord>;
}

const answerLimitMs = 30_000;

export async function startCountingSink({
  behaviour = wellBehaved,
  hashBodies = false,
  keptDomain,
  address = { host: '127.0.0.1', port: 0 },
}: SinkOptions = {}): Promise<CountingSink> {
  const owned = startProcess(process.execPath, [new URL('counting-sink-process.ts', import.meta.url).pathname], {
    ipc: true,
  });
  const answers = new EventEmitter();
  owned.child.on('message', answer => answers.emit('answer', answer));
  const ended = owned.exited.then(({ code }): never => {
    throw new Error(`the sink ended with ${code}: ${owned.errors()}`);
  });
  ended.catch(() => undefined);
  // One question at a time: answers come in order.
  let turn: Promise<unknown> = Promise.resolve();

  function ask<T extends SinkAnswer['type']>(request: SinkRequest, type: T): Promise<Extract<SinkAnswer, { type: T }>> {
    const asked = turn.then(async () => {
      const answered = once(answers, 'answer', { signal: AbortSignal.timeout(answerLimitMs) });
      owned.child.send(request);
      const [answer] = (await Promise.race([answered, ended])) as [SinkAnswer];
      if (answer.type !== type) throw new Error(`the sink answered ${answer.type}, not ${type}`);
      return answer as Extract<SinkAnswer, { type: T }>;
    });
    turn = asked.catch(() => undefined);
    return asked;
  }

  const { port } = await ask({ type: 'start', behaviour, hashBodies, keptDomain, at: address }, 'listening');
  return {
    port,
    behave: async to => void (await ask({ type: 'behave', behaviour: to }, 'behaving')),
    leave: async () => void (await ask({ type: 'leave' }, 'left')),
    return: async () => void (await ask({ type: 'return' }, 'listening')),
    received: async () => (await ask({ type: 'count' }, 'counted')).received,
    record: async () => (await ask({ type: 'record' }, 'recorded')).record,
    [Symbol.asyncDispose]: async () => void (await owned.stop('SIGKILL')),
  };
}
