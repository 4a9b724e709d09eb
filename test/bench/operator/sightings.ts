/** Relays and policies as a watch shows them: which are as they should be, which have changed, and when one gets there. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { domainPolicies, mailRelays } from '../../../operator/cluster/kinds.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { createReflector, type Reflector } from '../../../operator/kube/reflector.ts';
import { systemClock } from '../../../relay/clock.ts';
import { KeptMetrics, quiet } from '../../operator/kube/fakes.ts';

export type Kind = 'relay' | 'policy';

/** Of an object, what is asked of it: all of it, at the generation that it has. */
export interface Standing {
  readonly generation: number;
  readonly isDone: boolean;
}

export interface Sightings extends AsyncDisposable {
  readonly done: Readonly<Record<Kind, number>>;
  /** Keys of what was changed, or came, since the last call. */
  takeChanged(kind: Kind): ReadonlySet<string>;
  /** Resolves, with the time of the watch's event (performance.now()), when it is done at this generation or a later one. */
  whenDone(kind: Kind, key: string, generation: number, signal: AbortSignal): Promise<number>;
  /** What is missing, as text: for a wait that was in vain. */
  missing(kind: Kind): string[];
}

interface Waiter {
  readonly generation: number;
  readonly resolve: (atMs: number) => void;
}

interface Sight extends KubeObject {
  readonly standing: Standing;
}

export async function startSightings(client: KubeClient): Promise<Sightings> {
  const over = new AbortController();
  const relays = startKind<MailRelay & KubeObject>(client, mailRelays, relayIsDone);
  const policies = startKind<DomainPolicy & KubeObject>(client, domainPolicies, policyIsDone);
  const kinds = { relay: relays, policy: policies };
  const running = Promise.all([relays.run(over.signal), policies.run(over.signal)]);
  await Promise.all([relays.whenSynced(over.signal), policies.whenSynced(over.signal)]);
  return {
    get done() {
      return { relay: relays.done.size, policy: policies.done.size };
    },
    takeChanged: kind => kinds[kind].takeChanged(),
    whenDone: (kind, key, generation, signal) => kinds[kind].whenDone(key, generation, signal),
    missing: kind => kinds[kind].missing(),
    async [Symbol.asyncDispose]() {
      over.abort();
      await running;
    },
  };
}

interface KindSightings extends Pick<Reflector<Sight>, 'run' | 'whenSynced'> {
  readonly done: ReadonlySet<string>;
  takeChanged(): ReadonlySet<string>;
  whenDone(key: string, generation: number, signal: AbortSignal): Promise<number>;
  missing(): string[];
}

function startKind<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  isDone: (object: T) => boolean,
): KindSightings {
  const done = new Set<string>();
  const waiters = new Map<string, Waiter>();
  let changed = new Set<string>();
  const reflector = createReflector<Sight>({
    ...{ client, resource, clock: systemClock, random: Math.random, log: quiet, metrics: new KeptMetrics() },
    transform(object) {
      const { namespace = '', name, resourceVersion = '', generation = 0 } = object.metadata;
      const standing = { generation, isDone: isDone(object as unknown as T) };
      const { apiVersion, kind } = object;
      return { apiVersion, kind, metadata: { namespace, name, resourceVersion }, standing };
    },
  });
  reflector.onChange(({ type, key, object: { standing } }) => {
    changed.add(key);
    if (standing.isDone && type !== 'deleted') done.add(key);
    else done.delete(key);
    const waiter = waiters.get(key);
    if (waiter === undefined || !standing.isDone || standing.generation < waiter.generation) return;
    waiters.delete(key);
    waiter.resolve(performance.now());
  });
  return {
    done,
    run: signal => reflector.run(signal),
    whenSynced: signal => reflector.whenSynced(signal),
    takeChanged() {
      const taken = changed;
      changed = new Set();
      return taken;
    },
    async whenDone(key, generation, signal) {
      const standing = reflector.store.get(key)?.standing;
      if (standing?.isDone === true && standing.generation >= generation) return performance.now();
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      waiters.set(key, { generation, resolve });
      const stop = (): void => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      return await promise.finally(() => signal.removeEventListener('abort', stop));
    },
    missing: () => [...reflector.store.keys()].filter(key => !done.has(key)),
  };
}

function relayIsDone(relay: MailRelay & KubeObject): boolean {
  return holds(relay, 'Ready') && holds(relay, 'Programmed');
}

function policyIsDone(policy: DomainPolicy & KubeObject): boolean {
  const asked = policy.spec.dkim.managed?.algorithms?.length ?? 2;
  const minted = policy.status?.dkim?.keys.length ?? 0;
  const { observedGeneration } = policy.status ?? {};
  if (observedGeneration !== policy.metadata.generation || minted < asked) return false;
  return holds(policy, 'Accepted') && holds(policy, 'Programmed');
}

function holds({ status, metadata }: MailRelay | DomainPolicy, type: string): boolean {
  const found = status?.conditions?.find(condition => condition.type === type);
  return found?.status === 'True' && found.observedGeneration === metadata.generation;
}
