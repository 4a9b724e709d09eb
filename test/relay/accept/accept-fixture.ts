/** An accept server on real sockets, with the queue replaced by a recorder: what was submitted, and what became of each spool. */

import { type AcceptServer, createAcceptServer } from '../../../relay/accept/server.ts';
import { systemClock } from '../../../relay/clock.ts';
import { parseConfig, type RelayConfigInput } from '../../../relay/config.ts';
import { createLog, type Log } from '../../../relay/log.ts';
import { createMetrics, type Metrics } from '../../../relay/metrics.ts';
import { createPolicySnapshot } from '../../../relay/policy/snapshot.ts';
import type { Content, NewMessage, Spool } from '../../../relay/queue/queue.ts';
import type { Secrets } from '../../../relay/secrets.ts';
import { createSigner } from '../../../relay/sign/signer.ts';
import type { RelayState } from '../../../relay/state.ts';
import { makeCertificate, type TestCertificate } from '../../support/certificate.ts';

type ListenerInput = Partial<RelayConfigInput['listeners'][number]>;

export interface AcceptOptions {
  readonly listeners?: readonly ListenerInput[];
  readonly limits?: RelayConfigInput['limits'];
  readonly policies?: NonNullable<RelayConfigInput['policies']>;
  readonly trustedNetworks?: string[];
  readonly users?: Readonly<Record<string, string>>;
  readonly certificate?: TestCertificate;
  readonly submit?: (message: NewMessage) => Promise<void>;
  readonly openSpool?: () => Spool;
  readonly memoryBytes?: number;
  readonly storeLimitMs?: number;
  readonly log?: Log;
}

export interface RecordedMessage extends NewMessage {
  /** head and content, as they would be sent. */
  readonly bytes: Buffer;
}

export interface AcceptFixture extends AsyncDisposable {
  readonly server: AcceptServer;
  readonly metrics: Metrics;
  readonly messages: RecordedMessage[];
  readonly spools: RecordingSpool[];
  port(listener?: string): number;
  /** Another state, then reload(). */
  reload(options: AcceptOptions): void;
}

/** Keeps everything; counts what was given back. */
export class RecordingSpool implements Spool {
  readonly chunks: Buffer[] = [];
  discarded = false;
  finished = false;

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.discarded || this.finished) throw new Error('write after the end of a spool');
    this.chunks.push(Buffer.from(chunk));
    return undefined;
  }

  finish(): Promise<Content> {
    this.finished = true;
    const bytes = Buffer.concat(this.chunks);
    return Promise.resolve({
      sizeBytes: bytes.length,
      bytes,
      async *read() {
        yield bytes;
      },
    });
  }

  discard(): Promise<void> {
    this.discarded = true;
    this.chunks.length = 0;
    return Promise.resolve();
  }
}

export const certificate = await makeCertificate('mail.example.com');

const silentLog: Log = createLog('silent');

export async function startAccept(options: AcceptOptions = {}): Promise<AcceptFixture> {
  let state = makeState(options);
  const metrics = createMetrics();
  const messages: RecordedMessage[] = [];
  const spools: RecordingSpool[] = [];
  let ids = 0;
  const server = createAcceptServer({
    state: () => state,
    metrics,
    log: options.log ?? silentLog,
    clock: systemClock,
    ...(options.storeLimitMs === undefined ? {} : { storeLimitMs: options.storeLimitMs }),
    ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
    signer: createSigner({ state: () => state, metrics }),
    newId: () => `ID${(++ids).toString().padStart(6, '0')}`,
    openSpool: () => {
      if (options.openSpool !== undefined) return options.openSpool();
      const spool = new RecordingSpool();
      spools.push(spool);
      return spool;
    },
    submit: async message => {
      await options.submit?.(message);
      const content = message.content.bytes ?? Buffer.alloc(0);
      messages.push({ ...message, bytes: Buffer.concat([message.head, content]) });
    },
  });
  const addresses = await server.listen();
  return {
    server,
    metrics,
    messages,
    spools,
    port(listener = 'smtp') {
      const found = addresses.find(({ name }) => name === listener);
      if (found === undefined) throw new Error(`no listener ${listener}`);
      return found.port;
    },
    reload(next) {
      state = makeState({ ...options, ...next });
      server.reload();
    },
    async [Symbol.asyncDispose]() {
      await server.stop(0);
    },
  };
}

function makeState(options: AcceptOptions): RelayState {
  const listeners = options.listeners ?? [{}];
  const config = parseConfig({
    revision: 'test',
    namespace: 'mail',
    name: 'outbound',
    hostname: 'mail.example.com',
    listeners: listeners.map(listener => ({
      name: 'smtp',
      port: 25,
      bindPort: 0,
      bindAddress: '127.0.0.1',
      protocol: 'SMTP',
      tls: 'Optional',
      authentication: 'Optional',
      ...listener,
    })),
    http: { bindPort: 0 },
    tls: { certificateFile: 'unread', privateKeyFile: 'unread' },
    clients: { trustedNetworks: options.trustedNetworks ?? ['127.0.0.0/8'] },
    route: { type: 'Capture' },
    policies: options.policies ?? [
      { namespace: 'shop', name: 'shop', domains: ['example.com'], senders: { namespaces: ['mail'] } },
    ],
    limits: options.limits ?? {},
  });
  const secrets: Secrets = {
    tls: options.certificate ?? certificate,
    users: new Map(Object.entries(options.users ?? {})),
    dkimKeys: new Map(),
    credentials: new Map(),
    trustAnchors: new Map(),
    redisCredentials: new Map(),
  };
  return { config, secrets, policies: createPolicySnapshot(config) };
}

/** How many refusals of a reason were counted. */
export async function refusals(metrics: Metrics, reason: string): Promise<number> {
  const { values } = await metrics.postroad_accept_refusals_total.get();
  return values.find(value => value.labels.reason === reason)?.value ?? 0;
}

export const header = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: s\r\n';
