/** The operator's caches, before an API server that is a script. */
import type { TestContext } from 'node:test';
import { type Caches, createCaches } from '../../../operator/cluster/caches.ts';
import type { ClusterChange } from '../../../operator/cluster/change.ts';
import { optionalKinds } from '../../../operator/cluster/kinds.ts';
import { createClient } from '../../../operator/kube/client.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { objectLabels } from '../../../operator/labels.ts';
import { systemClock } from '../../../relay/clock.ts';
import { mailRelay } from '../builders.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';
import { startStubApiServer } from '../kube/stub-api-server.ts';
import { StubCluster } from './stub-cluster.ts';

export const { signal: never } = new AbortController();
export const relay = mailRelay({ clients: { usersSecretRef: { name: 'users' } } });
export const optional = Object.values(optionalKinds).map(({ plural }) => plural);

export function managedObject({ apiVersion, kind }: Resource, name: string, labels: object = {}): KubeObject {
  return { apiVersion, kind, metadata: { name, namespace: 'mail', labels: { ...objectLabels(relay), ...labels } } };
}

export function plain(resource: Resource, name: string, metadata: object = {}): KubeObject {
  return { apiVersion: resource.apiVersion, kind: resource.kind, metadata: { name, ...metadata } };
}

export interface World {
  readonly stub: StubCluster;
  readonly caches: Caches;
  readonly changes: ClusterChange[];
  readonly metrics: KeptMetrics;
}

export async function start(
  t: TestContext,
  fill: (stub: StubCluster) => void,
  relayNamespaces?: readonly string[],
): Promise<World> {
  const stub = new StubCluster();
  fill(stub);
  const api = await startStubApiServer(stub.script);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: api.connection, clock: systemClock, metrics });
  // Waits are cut short: what happens after them is what is asked here.
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 50), signal),
  };
  const caches = createCaches({ client, clock, random: Math.random, log: quiet, metrics, relayNamespaces });
  const changes: ClusterChange[] = [];
  caches.onChange(change => changes.push(change));
  const stopping = new AbortController();
  const running = caches.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
    client.close();
    await api[Symbol.asyncDispose]();
  });
  await caches.whenSynced(never);
  return { stub, caches, changes, metrics };
}

export function withoutOptional(stub: StubCluster): void {
  for (const plural of optional) stub.unknown.add(plural);
}
