/**
 * Opens a connection to a next hop: its hosts in order, their IPv6 and IPv4 addresses in turn, a bounded number of them.
 * One host that refuses for good proves nothing while another may accept: the result is final only when all refuse for good.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Reply } from '../smtp/reply.ts';
import { type Credentials, HandshakeError, openSession } from './connection.ts';
import { inOrderOfTrial, type MailHost } from './next-hop.ts';
import { deferred, failed, isLoginRefusal, notTried, type Setback } from './outcome.ts';
import type { MailResolver } from './resolver.ts';
import type { SmtpSession } from './session.ts';
import { type TlsPlan, TlsSessions } from './tls.ts';
import { TtlCache } from './ttl-cache.ts';

export interface Target {
  readonly hosts: readonly MailHost[];
  readonly port: number;
  readonly tls: TlsPlan;
  /** Their refusals of us are our own fault, never a bounce. */
  readonly smartHost: boolean;
  readonly credentials: Credentials | undefined;
}

export interface ConnectOptions {
  /** Our EHLO name. */
  readonly hostname: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ConnectFailure {
  readonly setback: Setback;
  readonly remoteMta: string | undefined;
  readonly detail: string;
}

const maxTrials = 12;
const maxAddressesPerHost = 4;
const avoidMs = 300_000;
const brokenTlsMs = 600_000;

export class Connector {
  readonly #resolver: MailResolver;
  readonly #tlsSessions: TlsSessions;
  readonly #random: () => number;
  /** Addresses that took no connection lately are tried last, so that a dead family or host is not paid for each time. */
  readonly #avoided: TtlCache<true>;
  /** Addresses whose handshake broke where nobody required one: not paid for again at each connection. */
  readonly #brokenTls: TtlCache<true>;

  constructor(resolver: MailResolver, now: () => number, random: () => number) {
    this.#resolver = resolver;
    this.#random = random;
    this.#avoided = new TtlCache(10_000, now);
    this.#brokenTls = new TtlCache(10_000, now);
    this.#tlsSessions = new TlsSessions(now);
  }

  async connect(target: Target, options: ConnectOptions): Promise<SmtpSession | ConnectFailure> {
    const trials = new Trials(target.smartHost);
    const addresses = await this.#addresses(target.hosts, trials);
    for (const { host, address } of addresses.slice(0, maxTrials)) {
      if (options.signal.aborted) break;
      try {
        return await this.#tryAddress({ host, address, target, options });
      } catch (cause) {
        trials.add(host, cause);
      }
    }
    return options.signal.aborted ? aborted : trials.failure();
  }

  async #addresses(hosts: readonly MailHost[], trials: Trials): Promise<{ host: string; address: string }[]> {
    const found: { host: string; address: string }[] = [];
    for (const { name } of inOrderOfTrial(hosts, this.#random)) {
      const lookup = await this.#resolver.addresses(name);
      if (lookup.type !== 'Found') trials.addLookup(name, lookup.type);
      else for (const address of lookup.values.slice(0, maxAddressesPerHost)) found.push({ host: name, address });
      if (found.length >= maxTrials) break;
    }
    const avoided = found.filter(({ address }) => this.#avoided.get(address) === true);
    return avoided.length === 0 ? found : [...found.filter(entry => !avoided.includes(entry)), ...avoided];
  }

  async #tryAddress(trial: Trial): Promise<SmtpSession> {
    const { tls, credentials } = trial.target;
    const { signal } = trial.options;
    const inTheClear: TlsPlan = { ...tls, mode: 'Disabled' };
    const mayGoInTheClear = tls.mode === 'Opportunistic' && !tls.implicit && (credentials?.inTheClear ?? true);
    if (mayGoInTheClear && this.#brokenTls.get(trial.address) === true) return await this.#open(trial, inTheClear);
    try {
      return await this.#open(trial, tls);
    } catch (cause) {
      // What we break off ourselves says nothing of the host.
      if (signal.aborted) throw cause;
      if (!(cause instanceof HandshakeError && cause.stage === 'Tls' && mayGoInTheClear)) throw cause;
      // RFC 7435 s3: a broken handshake on the way to encryption nobody required is no reason to keep the mail.
      this.#brokenTls.set(trial.address, true, brokenTlsMs);
      return await this.#open(trial, inTheClear);
    }
  }

  async #open({ host, address, target, options }: Trial, tls: TlsPlan): Promise<SmtpSession> {
    const socket = await this.#dial(address, target.port, options);
    return await openSession({
      socket,
      host,
      port: target.port,
      hostname: options.hostname,
      tls,
      credentials: target.credentials,
      commandTimeoutMs: options.commandTimeoutMs,
      tlsSessions: this.#tlsSessions,
      signal: options.signal,
    });
  }

  async #dial(address: string, port: number, { connectTimeoutMs, signal }: ConnectOptions): Promise<Socket> {
    try {
      const socket = await dial(address, port, AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)]));
      this.#avoided.delete(address);
      return socket;
    } catch (cause) {
      this.#avoided.set(address, true, avoidMs);
      throw cause;
    }
  }
}

interface Trial {
  readonly host: string;
  readonly address: string;
  readonly target: Target;
  readonly options: ConnectOptions;
}

async function dial(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connect({ host: address, port, noDelay: true });
  const onAbort = () => socket.destroy(new Error('no connection in time'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await once(socket, 'connect');
    return socket;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

interface TrialFailure {
  readonly setback: Setback;
  readonly host: string;
  readonly detail: string;
}

/** What became of each host, for the one answer that stands for all. */
class Trials {
  readonly #smartHost: boolean;
  readonly #failures: TrialFailure[] = [];

  constructor(smartHost: boolean) {
    this.#smartHost = smartHost;
  }

  addLookup(host: string, type: 'NoSuchName' | 'NoSuchRecord' | 'Unavailable'): void {
    // The smart host's name is our configuration: nobody is bounced for it.
    const setback = type === 'Unavailable' || this.#smartHost ? deferred('DnsUnavailable') : failed('NoAddress');
    this.#failures.push({ setback, host, detail: `no address of ${host}: ${type}` });
  }

  add(host: string, cause: unknown): void {
    const detail = cause instanceof Error ? cause.message : String(cause);
    const setback = cause instanceof HandshakeError ? this.#judge(cause) : deferred('ConnectFailed');
    this.#failures.push({ setback, host, detail });
  }

  #judge({ stage, reply, permanent }: HandshakeError): Setback {
    switch (stage) {
      case 'Tls':
        return deferred('TlsFailed', reply);
      case 'Auth':
        return deferred('UpstreamAuthFailed', reply);
      case 'Timeout':
        return deferred('CommandTimeout');
      case 'Lost':
        return deferred('ConnectionLost');
      case 'Protocol':
        return deferred('ProtocolError', reply);
      case 'Greeting':
        return this.#judgeGreeting(reply, permanent);
    }
  }

  #judgeGreeting(answer: Reply | undefined, permanent: boolean): Setback {
    if (answer === undefined) return deferred('ProtocolError');
    if (!permanent) return deferred('GreetingDeferred', answer);
    if (this.#smartHost) return deferred(isLoginRefusal(answer) ? 'UpstreamAuthFailed' : 'UpstreamRefused', answer);
    return { result: 'Failed', reason: 'GreetingRejected', reply: answer };
  }

  /** Final only when every host is: one that did not answer may yet accept. */
  failure(): ConnectFailure {
    const temporary = this.#failures.filter(({ setback }) => setback.result === 'Deferred');
    const candidates = temporary.length > 0 ? temporary : this.#failures;
    const [telling] = candidates.toSorted((a, b) => rank(b.setback) - rank(a.setback));
    if (telling === undefined) return { setback: failed('NoAddress'), remoteMta: undefined, detail: 'no host to try' };
    const heard = telling.setback.reply !== undefined && telling.setback.reason !== 'NoAddress';
    return { setback: telling.setback, remoteMta: heard ? telling.host : undefined, detail: telling.detail };
  }
}

/** A host that spoke tells more than one that did not. */
function rank({ reason, reply }: Setback): number {
  if (reason === 'NoAddress' || reason === 'DnsUnavailable') return 0;
  if (reason === 'ConnectFailed') return 1;
  return reply === undefined ? 2 : 3;
}

const aborted: ConnectFailure = {
  setback: notTried('ShuttingDown'),
  remoteMta: undefined,
  detail: 'broken off',
};
