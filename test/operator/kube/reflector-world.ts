/** A reflector before an API server that is a script. */
import type { TestContext } from 'node:test';
import { createClient } from '../../../operator/kube/client.ts';
import {
  type Change,
  createReflector,
  type Reflector,
  type ReflectorOptions,
} from '../../../operator/kube/reflector.ts';
import { systemClock } from '../../../relay/clock.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type ConfigMap, configMaps, KeptMetrics, quiet } from './fakes.ts';
import { startStubApiServer } from './stub-api-server.ts';
import { StubCollection } from './stub-collection.ts';

export interface Setup {
  readonly collection: StubCollection;
  readonly reflector: Reflector<ConfigMap>;
  readonly metrics: KeptMetrics;
  /** `added a`, `updated a`, … in order. */
  readonly changes: string[];
  readonly initial: string[];
  names(): string[];
  dropConnections(): void;
  stop(): Promise<void>;
}

export const { signal: never } = new AbortController();
export const quickBackoff = { firstMs: 4, longestMs: 20 };

export async function setUp(
  t: TestContext,
  options: Partial<ReflectorOptions<ConfigMap>> & {
    readonly existing?: readonly string[];
    readonly timeoutMs?: number;
  } = {},
): Promise<Setup> {
  const { existing = [], timeoutMs = 15_000, clock = systemClock, ...rest } = options;
  const collection = new StubCollection();
  for (const name of existing) collection.put(name);
  const stub = await startStubApiServer(collection.script);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: stub.connection, clock, metrics, timeoutMs });
  const common = { client, clock, metrics, random: () => 0.5, log: quiet, resource: configMaps, backoff: quickBackoff };
  const reflector = createReflector<ConfigMap>({ ...common, ...rest });
  const changes: string[] = [];
  const initial: string[] = [];
  reflector.onChange(({ type, object, isInitial }: Change<ConfigMap>) => {
    changes.push(`${type} ${object.metadata.name}`);
    if (isInitial) initial.push(object.metadata.name);
  });
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
  };
  t.after(async () => {
    await stop();
    client.close();
    await stub[Symbol.asyncDispose]();
  });
  const names = (): string[] => [...reflector.store.values()].map(({ metadata }) => metadata.name).sort();
  return {
    collection,
    reflector,
    metrics,
    changes,
    initial,
    names,
    stop,
    dropConnections: () => stub.dropConnections(),
  };
}

export const watching = (collection: StubCollection): Promise<unknown> =>
  waitUntil('a watch', () => collection.watches.size === 1);
