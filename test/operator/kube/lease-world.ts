/** Two operators, one Lease: an API server with delays and faults, processes that stand still, wall clocks that are set. All on a fake clock. */
import type { KubeClient, Request } from '../../../operator/kube/client.ts';
import { withDeadline } from '../../../operator/kube/deadline.ts';
import { ApiError, ConnectionError } from '../../../operator/kube/errors.ts';
import { createElector, type Elector, type Leadership, type LeaseTiming } from '../../../operator/kube/lease.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { createUptime, type Uptime } from '../../../operator/kube/uptime.ts';
import type { Clock } from '../../../relay/clock.ts';
import type { FakeClock } from '../../support/fake-clock.ts';
import { KeptMetrics, quiet } from './fakes.ts';

export const timing: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

interface Lease extends KubeObject {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
}

export class LeaseServer {
  lease: Lease | undefined;
  writes = 0;
  #version = 0;

  handle({ method, body }: Pick<Request, 'method' | 'body'>): Lease {
    if (method === 'GET') {
      if (this.lease === undefined) throw new ApiError('GET lease', { code: 404, reason: 'NotFound' });
      return this.lease;
    }
    const written = body as Lease;
    const isExpected = this.lease?.metadata.resourceVersion === written.metadata.resourceVersion;
    if (!isExpected) throw new ApiError(`${method} lease`, { code: 409, reason: 'Conflict' });
    this.#version += 1;
    this.writes += 1;
    this.lease = { ...written, metadata: { ...written.metadata, resourceVersion: String(this.#version) } };
    return this.lease;
  }
}

export type NetworkFault = 'none' | 'requestLost' | 'answerLost' | 'refused';

export interface Operator {
  readonly elector: Elector;
  readonly metrics: KeptMetrics;
  readonly terms: Leadership[];
  /** Nothing of it runs until this time of the fake clock. */
  pausedUntilMs: number;
  /** What its wall clock says beside the truth. */
  wallOffsetMs: number;
  network: NetworkFault;
  requestMs: number;
  answerMs: number;
  /** How long its work needs to end when told to. */
  workEndMs: number;
  stop(): Promise<void>;
}

interface OperatorOptions {
  readonly base: FakeClock;
  readonly server: LeaseServer;
  readonly identity: string;
  readonly wrapUptime?: (uptime: Uptime) => Uptime;
}

export function startOperator({ base, server, identity, wrapUptime = uptime => uptime }: OperatorOptions): Operator {
  const metrics = new KeptMetrics();
  const terms: Leadership[] = [];
  const state = {
    network: 'none' as NetworkFault,
    pausedUntilMs: 0,
    wallOffsetMs: 0,
    requestMs: 5,
    answerMs: 5,
    workEndMs: 0,
  };

  /** Comes back no sooner than the process runs again. */
  async function resume(): Promise<void> {
    while (base.now() < state.pausedUntilMs) await base.sleep(Math.min(1000, state.pausedUntilMs - base.now()));
  }
  const clock: Clock = {
    now: () => base.now() + state.wallOffsetMs,
    async sleep(ms, signal) {
      try {
        await base.sleep(ms, signal);
      } finally {
        await resume();
      }
    },
  };
  const uptime = wrapUptime(createUptime({ steadyMs: () => base.now(), wallMs: () => clock.now() }));

  /** The network and the server do not stand still with the process. */
  async function travel(request: Pick<Request, 'method' | 'body'>, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted();
    const fault = state.network;
    if (fault === 'refused') throw new ConnectionError('lease', 'Unreachable');
    const { requestMs, answerMs } = state;
    // What was sent arrives, whoever gives up waiting for its answer.
    const handled = base.sleep(requestMs).then(() => (fault === 'requestLost' ? undefined : server.handle(request)));
    // Awaited below, unless whoever asked has given up.
    handled.catch(() => undefined);
    const never = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    never.catch(() => undefined);
    const answer = await Promise.race([handled, never]);
    if (answer === undefined || fault === 'answerLost') return await never;
    await base.sleep(answerMs, signal);
    return answer;
  }

  const client: KubeClient = {
    namespace: 'mail',
    async request<T>({ method, body, signal, timeoutMs: limitMs = 15_000 }: Request): Promise<T> {
      const reason = (): Error => new ConnectionError('lease', 'Timeout');
      try {
        return (await withDeadline({ clock, limitMs, signal, reason }, inner => travel({ method, body }, inner))) as T;
      } finally {
        await resume();
      }
    },
    watch: () => Promise.reject(new Error('a lease is not watched')),
    close: () => undefined,
  };
  const elector = createElector({
    ...{ client, clock, uptime, metrics, identity, timing, log: quiet },
    ...{ random: () => 0.5, namespace: 'mail', name: 'postroad-operator' },
  });
  const stopping = new AbortController();
  const running = elector.run(async leadership => {
    terms.push(leadership);
    await new Promise<void>(resolve => {
      leadership.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await clock.sleep(state.workEndMs);
  }, stopping.signal);
  return Object.assign(state, {
    elector,
    metrics,
    terms,
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  });
}
