/**
 * One connection to one server: what is asked together goes out in one write and comes back in order. Adapts ioredis; nothing is ever
 * sent twice behind the caller's back, and no wait is longer than it says.
 */
import { type RedisOptions as AnyClientOptions, Redis } from 'ioredis';
import { deadline } from './deadline.ts';
import { faultOfReply, RedisFault } from './errors.ts';
import type { RedisAddress, RedisOptions } from './options.ts';

type ClientOptions = Omit<AnyClientOptions, 'replyMapping'>;

export type Argument = string | number | Buffer;
/** Texts come as Buffers. */
export type Reply = number | Buffer | null | readonly Reply[];
export type Command = readonly [name: string, ...args: Argument[]];

const connectTimeoutMs = 2000;
const longestReconnectMs = 500;
/** For what is under way on a connection that another takes the place of. */
const quitTimeoutMs = 10_000;
/** Against half-open connections, when the kernel sees no other sign. */
const keepAliveMs = 5000;

export interface RedisConnectionOptions {
  /** Of that server, also when the options name others. */
  readonly address?: RedisAddress | undefined;
  /** With each connection made, before anything is asked by it. */
  readonly onConnect?: () => void;
}

export class RedisConnection {
  readonly #options: () => RedisOptions;
  readonly #address: RedisAddress | undefined;
  readonly #onConnect: () => void;
  #client: Redis;
  #generation = 0;
  #awaySinceMs: number | undefined = performance.now();
  #lastError: Error | undefined;
  #closed = false;

  constructor(options: () => RedisOptions, { address, onConnect = () => undefined }: RedisConnectionOptions = {}) {
    this.#options = options;
    this.#address = address;
    this.#onConnect = onConnect;
    this.#client = this.#open();
  }

  /** Changes with each connection made: what was found out about the server before may be about another one. */
  get generation(): number {
    return this.#generation;
  }

  get ready(): boolean {
    return this.#client.status === 'ready';
  }

  /** The other end, by its IP address; undefined while there is none. */
  get peer(): RedisAddress | undefined {
    const { stream } = this.#client;
    const { remoteAddress, remotePort } = stream ?? {};
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    return { host: remoteAddress.replace(/^::ffff:/, ''), port: remotePort };
  }

  /** Since when it is away; undefined while it is there. */
  get awaySinceMs(): number | undefined {
    return this.#awaySinceMs;
  }

  /** @throws RedisFault NotDone */
  async waitReady(untilMs: number): Promise<void> {
    while (!this.ready) {
      const leftMs = untilMs - performance.now();
      if (this.#closed || leftMs <= 0) throw this.#away();
      await this.#readyWithin(leftMs);
    }
  }

  /**
   * Answers or faults, in order. With `generation`, only if the connection is still that one.
   * @throws RedisFault NotDone: nothing was sent
   */
  async run(
    commands: readonly Command[],
    timeoutMs: number,
    generation = this.#generation,
  ): Promise<(Reply | RedisFault)[]> {
    if (!this.ready || generation !== this.#generation) throw this.#away();
    const client = this.#client;
    const pipeline = client.pipeline();
    for (const command of commands) pipeline.callBuffer(...(command as [string, ...Argument[]]));
    const limit = deadline(timeoutMs);
    const end = endOf(client);
    try {
      const results = await Promise.race([pipeline.exec(), limit.over, end.came]);
      if (results === 'ended') {
        const fault = faultOf(this.#lastError ?? new Error('it was closed'));
        return commands.map(() => fault);
      }
      if (results === 'late' || results === null) {
        // Whatever it still answers belongs to nobody, and the next command should not stand behind it.
        client.disconnect(true);
        const fault = new RedisFault('Unknown', `Redis did not answer within ${timeoutMs} ms`);
        return commands.map(() => fault);
      }
      return results.map(([error, value]) => (error === null ? (value as Reply) : faultOf(error)));
    } finally {
      limit.cancel();
      end.forget();
    }
  }

  /** A new connection by what the options say now; what is under way ends on the old one. */
  renew(): void {
    if (this.#closed) return;
    const old = this.#client;
    this.#client = this.#open();
    const limit = setTimeout(() => old.disconnect(), quitTimeoutMs).unref();
    old.once('end', () => clearTimeout(limit));
    old.quit().catch(() => old.disconnect());
  }

  close(): void {
    this.#closed = true;
    outliveErrors(this.#client);
    this.#client.disconnect();
  }

  get whyAway(): string {
    return this.#lastError === undefined ? 'Redis is away' : `Redis is away: ${this.#lastError.message}`;
  }

  #away(): RedisFault {
    return new RedisFault('NotDone', this.whyAway, { moved: true, cause: this.#lastError });
  }

  #open(): Redis {
    const settings = clientOptions(this.#options(), this.#address);
    const client = new Redis(settings);
    // Each session that waits for the connection listens.
    client.setMaxListeners(0);
    client.on('ready', () => {
      this.#generation += 1;
      this.#onConnect();
      if (client === this.#client) this.#awaySinceMs = undefined;
    });
    client.on('connecting', () => setImmediate(outliveErrors, client));
    client.on('error', error => {
      this.#lastError = error;
      outliveErrors(client);
    });
    client.on('close', () => {
      if (client === this.#client) this.#awaySinceMs ??= performance.now();
    });
    client.on('end', () => {
      // It keeps its connections to the Sentinels when it ends by QUIT.
      client.disconnect();
      this.#openAgain(client);
    });
    return client;
  }

  /** The client gives up for good when it hears of a failover while it asks the Sentinels where to connect to (redis/ioredis#1683). */
  #openAgain(ended: Redis): void {
    if (this.#closed || ended !== this.#client) return;
    this.#awaySinceMs ??= performance.now();
    const timer = setTimeout(() => {
      if (!this.#closed && ended === this.#client) this.#client = this.#open();
    }, longestReconnectMs);
    timer.unref();
  }

  async #readyWithin(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = this.#client;
    // In steps, since `renew` may have put another client in its place.
    const timer = setTimeout(resolve, Math.min(ms, 100));
    client.once('ready', resolve);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      client.off('ready', resolve);
    }
  }
}

/** The client keeps what nothing of was answered for a next connection, and without leave to send it again never speaks of it. */
function endOf(client: Redis): { came: Promise<'ended'>; forget(): void } {
  const { promise, resolve } = Promise.withResolvers<'ended'>();
  // What was answered before the end is told first.
  const onClose = (): void => void setImmediate(resolve, 'ended');
  client.once('close', onClose);
  return { came: promise, forget: () => void client.off('close', onClose) };
}

/** The client listens for the first error of a stream only; one of TLS can have a second, which nobody would catch. */
function outliveErrors({ stream }: Redis): void {
  if (stream !== undefined && !stream.listeners('error').includes(known)) stream.on('error', known);
}

function known(): void {
  // The first error was told.
}

function faultOf(error: Error): RedisFault {
  if (error.name === 'ReplyError') return faultOfReply(error);
  // ioredis refuses to queue while it is not connected; then nothing was sent.
  if (error.message.startsWith("Stream isn't writeable"))
    return new RedisFault('NotDone', 'Redis is away', { moved: true });
  return new RedisFault('Unknown', `the connection to Redis broke: ${error.message}`, { moved: true, cause: error });
}

function clientOptions(options: RedisOptions, address: RedisAddress | undefined): ClientOptions {
  const { type, addresses, sentinel, credentials, tls, database } = options;
  const secure = tls === undefined ? {} : { tls: tlsOptions(tls) };
  const common: ClientOptions = {
    ...secure,
    ...(credentials?.username === undefined ? {} : { username: credentials.username }),
    ...(credentials === undefined ? {} : { password: credentials.password }),
    ...(type === 'Cluster' ? {} : { db: database }),
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: null,
    maxLoadingRetryTime: longestReconnectMs,
    retryStrategy: times => Math.min(times * 50, longestReconnectMs),
    reconnectOnError: error => (error.message.startsWith('READONLY') ? 1 : false),
  };
  if (address !== undefined) return { ...common, ...address };
  if (type !== 'Sentinel') return { ...common, ...addresses[0] };
  return {
    ...common,
    sentinels: addresses.map(({ host, port }) => ({ host, port })),
    name: sentinel?.masterName ?? '',
    ...(sentinel?.credentials?.username === undefined ? {} : { sentinelUsername: sentinel.credentials.username }),
    ...(sentinel?.credentials === undefined ? {} : { sentinelPassword: sentinel.credentials.password }),
    ...(tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(tls) }),
    sentinelCommandTimeout: connectTimeoutMs,
    sentinelRetryStrategy: times => Math.min(times * 50, longestReconnectMs),
    failoverDetector: true,
  };
}

function tlsOptions({ verified, ca }: NonNullable<RedisOptions['tls']>): { rejectUnauthorized: boolean; ca?: string } {
  return { rejectUnauthorized: verified, ...(ca === undefined ? {} : { ca }) };
}
