/**
 * A relay under a steady load through its Service, with a counting sink as the next hop outside. A journey makes something die, waits
 * until it is whole again, and ends the load; then what became of each recipient is judged as the audit does (test/audit).
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { mailRelays, pods } from '../../operator/cluster/kinds.ts';
import { type Load, type LoadOptions, startLoad } from '../audit/load.ts';
import { judge, type Kill } from '../audit/verdict.ts';
import { type CountingSink, startCountingSink } from '../support/counting-sink.ts';
import type { Secured } from '../support/raw-client.ts';
import { type MetricValues, parseMetrics, queuedRecipients } from '../support/relay-process.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Cluster } from './cluster.ts';
import { loadedObjects, namespace, type RelayWishes, type SecurePort, sinkAddress, user } from './loaded-objects.ts';
import { type Outcome, outageText, sessions } from './outcome.ts';

/** Of mail to it the sink keeps the content. */
export const sampleDomain = 'sample.example';

export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly containerID?: string }[];
  };
}

/** Clients come and go; one that hears nothing for 5 s, or nobody, tries again. */
const loadShape = {
  ...{ sessions, messages: 100_000 },
  ...{ messagesPerSession: 25, reconnectMs: 100, silenceMs: 5000 },
};
const standardRate = 250;
const catchUpLimitMs = 10_000;
const wholeLimitMs = 120_000;
const drainLimitMs = 120_000;

interface OwnLoad extends Pick<LoadOptions, 'host' | 'port' | 'secured' | 'random' | 'domains'> {
  readonly rate: number;
  readonly say: (line: string) => void;
}

export class LoadedRelay implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly sink: CountingSink;
  readonly load: Load;
  readonly #kills: Kill[] = [];
  readonly #end = new AbortController();
  readonly #startedMs = performance.now();
  readonly #rate: number;
  readonly #say: (line: string) => void;
  #toldMs = Date.now();

  private constructor(cluster: Cluster, sink: CountingSink, { say, ...load }: OwnLoad) {
    this.cluster = cluster;
    this.sink = sink;
    this.#rate = load.rate;
    this.#say = say;
    const signal = this.#end.signal;
    this.load = startLoad({ ...loadShape, ...load, signal });
  }

  /** Resolves when the relay is whole and mail flows. */
  static async start(cluster: Cluster, t: TestContext, wishes: RelayWishes = {}): Promise<LoadedRelay> {
    const seed = Date.now() % 1_000_000;
    t.diagnostic(`seed ${seed}`);
    await cluster.installChart({ 'operator.replicas': '1', ...wishes.chart });
    await cluster.createNamespace(namespace);
    await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(loadedObjects(wishes)));
    await whole(cluster);
    const host = await serviceAddress(cluster);
    const sink = await startCountingSink({ address: { host: sinkAddress, port: 25 }, keptDomain: sampleDomain });
    const { domains, rate = standardRate, port = 25 } = wishes;
    const relay = new LoadedRelay(cluster, sink, {
      ...{ host, port, rate, random: seededRandom(seed), say: line => t.diagnostic(line) },
      ...(domains !== undefined && { domains }),
      ...(port !== 25 && { secured: await securedBy(cluster, port) }),
    });
    try {
      await relay.flows(rate);
      return relay;
    } catch (error) {
      await relay[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Until this many more messages were accepted. */
  async flows(messages: number): Promise<void> {
    const before = this.load.accepted();
    await waitUntil(`${messages} more accepted messages`, () => this.load.accepted() >= before + messages, {
      limitMs: wholeLimitMs,
    });
  }

  /** Prints what has happened since it was told of the last thing, and what it was to clients. One that is without the relay still counts for the next. */
  tell(what: string): void {
    const outages = this.load.outages.filter(({ toMs }) => toMs > this.#toldMs);
    const longestMs = Math.max(0, ...outages.map(({ fromMs, toMs }) => toMs - fromMs));
    this.#toldMs = Date.now();
    this.#say(`${what}: ${outageText(longestMs)}, ${this.load.accepted()} messages so far`);
  }

  async pods(): Promise<readonly Pod[]> {
    return await podsOf(this.cluster);
  }

  /** Until every pod that shall be there is ready and runs what it should. */
  async whole(): Promise<void> {
    await whole(this.cluster);
  }

  /** By pod, the container that runs in it. */
  async containers(): Promise<ReadonlyMap<string, string>> {
    const pods = await this.pods();
    return new Map(
      pods.map(({ metadata, status }) => [metadata.name, status.containerStatuses?.[0]?.containerID ?? '']),
    );
  }

  /** Until the pods of `before` run other containers, or those of `names` do, and the relay is whole. */
  async renewed(before: ReadonlyMap<string, string>, names: Iterable<string> = before.keys()): Promise<void> {
    const waited = [...names];
    await waitUntil(
      `other containers in ${waited.join(', ')}`,
      async () => {
        const now = await this.containers();
        return waited.every(name => (now.get(name) ?? '') !== '' && now.get(name) !== before.get(name));
      },
      { limitMs: wholeLimitMs, everyMs: 250 },
    );
    await this.whole();
  }

  /** Until no pod of those names is there any more, and the relay is whole with others. */
  async replaced(names: Iterable<string>): Promise<void> {
    const old = new Set(names);
    await waitUntil(
      `${[...old].join(', ')} to be gone`,
      async () => (await this.pods()).every(({ metadata }) => !old.has(metadata.name)),
      { limitMs: wholeLimitMs, everyMs: 250 },
    );
    await this.whole();
  }

  /** What happens meanwhile is the reason of a duplicate. */
  async killing(kill: () => Promise<void>, kind?: Kill['kind']): Promise<void> {
    const fromMs = Date.now();
    await kill();
    this.#kills.push({ fromMs, toMs: Date.now(), ...(kind !== undefined && { kind }) });
  }

  /** By pod. */
  async metrics(): Promise<ReadonlyMap<string, MetricValues>> {
    const pods = await this.pods();
    return new Map(await Promise.all(pods.map(async pod => [pod.metadata.name, await metricsOf(pod)] as const)));
  }

  /** Recipients in the queue, by pod. */
  async queued(): Promise<ReadonlyMap<string, number>> {
    return new Map([...(await this.metrics())].map(([name, values]) => [name, queuedRecipients(values)]));
  }

  async queuedInAll(): Promise<number> {
    return [...(await this.queued()).values()].reduce((sum, count) => sum + count, 0);
  }

  /** Ends the load once it has caught up with its outages, waits until nothing is queued, and judges. */
  async outcome(): Promise<Outcome> {
    const seconds = (): number => (performance.now() - this.#startedMs) / 1000;
    const limitMs = performance.now() + catchUpLimitMs;
    while (this.load.sent.length < (seconds() - 1) * this.#rate && performance.now() < limitMs) await delay(100);
    this.#end.abort();
    await this.load.done;
    await waitUntil(
      'the queues of all pods to be empty',
      async () => [...(await this.queued()).values()].every(count => count === 0),
      {
        limitMs: drainLimitMs,
        everyMs: 250,
      },
    );
    const { receptions } = await this.sink.record();
    const { sent } = this.load;
    const longestOutageMs = this.load.longestOutageMs();
    const verdict = judge({ sent, receptions, kills: this.#kills, queued: 0 });
    return {
      ...verdict,
      sent: sent.length,
      rate: this.#rate,
      perSecond: this.load.accepted() / this.load.busySeconds(),
      longestOutageMs,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.load.done;
    await this.sink[Symbol.asyncDispose]();
  }
}

export function isReady({ metadata, status }: Pod): boolean {
  const ready = status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
  return ready && metadata.deletionTimestamp === undefined;
}

export async function podsOf({ read }: Cluster): Promise<readonly Pod[]> {
  const ours = 'app.kubernetes.io/instance=outbound';
  const { items } = await read<{ readonly items: readonly Pod[] }>(pods, { namespace }, ours);
  return items;
}

export async function serviceAddress({ kubectl }: Cluster): Promise<string> {
  return await kubectl.must(['get', 'service', 'outbound', '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}']);
}

/** In PEM, as the relay publishes it. */
export async function publishedAuthority({ kubectl }: Cluster): Promise<string> {
  return await kubectl.must(['get', 'configmap', 'outbound-ca', '-n', namespace, '-o', 'jsonpath={.data.ca\\.crt}']);
}

async function securedBy(cluster: Cluster, port: SecurePort): Promise<Secured> {
  return {
    ca: await publishedAuthority(cluster),
    ...{ servername: `outbound.${namespace}.svc`, begins: port === 465 ? 'AtOnce' : 'ByCommand', user },
  };
}

async function metricsOf({ metadata, status }: Pod): Promise<MetricValues> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(`http://${status.podIP}:8080/metrics`, { signal: AbortSignal.timeout(10_000) });
      assert.equal(response.status, 200, `metrics of ${metadata.name}`);
      return parseMetrics(await response.text());
    } catch (error) {
      // A pod that has just come back may not listen yet.
      if (error instanceof assert.AssertionError || attempt === 20) throw error;
      await delay(250);
    }
  }
}

async function whole(cluster: Cluster): Promise<void> {
  await waitUntil(
    'the relay to be ready with all its pods',
    async () => {
      const { metadata, spec, status } = await cluster.read<MailRelay>(mailRelays, {
        namespace,
        name: 'outbound',
      });
      const found = await podsOf(cluster);
      const holds = (type: string): boolean =>
        status?.conditions?.some(one => one.type === type && one.status === 'True') ?? false;
      return (
        found.length === spec.replicas &&
        found.every(isReady) &&
        status?.observedGeneration === metadata.generation &&
        status?.attachedPolicies === 1 &&
        holds('Ready') &&
        holds('Programmed')
      );
    },
    { limitMs: wholeLimitMs, everyMs: 250 },
  );
}
