/** Every version of every Secret with keys, and of every policy's status, as they went by: what was made once must stay. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { domainPolicies, secrets } from '../../../operator/cluster/kinds.ts';
import { createClient } from '../../../operator/kube/client.ts';
import { type KubeObject, keyOf } from '../../../operator/kube/object.ts';
import { createReflector } from '../../../operator/kube/reflector.ts';
import { policyNameLabel } from '../../../operator/labels.ts';
import { systemClock } from '../../../relay/clock.ts';
import { KeptMetrics, quiet } from '../../operator/kube/fakes.ts';
import type { ApiWorld } from '../api-world.ts';
import { managedSelector } from './random-changes.ts';

type Secret = KubeObject & { readonly data?: Readonly<Record<string, string>> };
type StoredPolicy = DomainPolicy & KubeObject;

export interface KeptKeys extends AsyncDisposable {
  /** What was lost or made twice, in words. */
  readonly faults: readonly string[];
  /** Secrets with a policy's keys that were seen. */
  readonly rings: number;
  /** Selectors that a policy's status ever had, by `namespace/name`. */
  readonly selectors: ReadonlyMap<string, ReadonlySet<string>>;
}

export async function watchKeptKeys({ server }: ApiWorld): Promise<KeptKeys> {
  const metrics = new KeptMetrics();
  const client = createClient({ connection: server.admin, clock: systemClock, metrics, userAgent: 'kept-keys' });
  // Back before the operator is.
  const backoff = { firstMs: 50, longestMs: 250 };
  const common = { client, clock: systemClock, random: Math.random, log: quiet, metrics, backoff };
  const faults: string[] = [];
  const selectors = new Map<string, Set<string>>();
  const rings = new Set<string>();
  const secretViews = createReflector<Secret>({ ...common, resource: secrets, labelSelector: managedSelector });
  secretViews.onChange(({ type, key, object, previous }) => {
    if (object.metadata.labels?.[policyNameLabel] !== undefined) rings.add(key);
    if (type === 'updated' && previous !== undefined) faults.push(...losses(previous, object));
  });
  const policies = createReflector<StoredPolicy>({ ...common, resource: domainPolicies });
  policies.onChange(({ key, object }) => {
    const seen = selectors.get(key) ?? new Set();
    for (const { selector } of object.status?.dkim?.keys ?? []) seen.add(selector);
    selectors.set(key, seen);
  });
  const stopping = new AbortController();
  const running = Promise.all([secretViews.run(stopping.signal), policies.run(stopping.signal)]);
  await Promise.all([secretViews.whenSynced(stopping.signal), policies.whenSynced(stopping.signal)]);
  return {
    ...{ faults, selectors },
    get rings() {
      return rings.size;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
      client.close();
    },
  };
}

/** Keys of signatures stay for as long as no rotation is due, and an authority, too. */
function losses(before: Secret, after: Secret): string[] {
  if (before.metadata.uid !== after.metadata.uid) return [`${keyOf(after.metadata)} was replaced`];
  const isKept = (entry: string): boolean => /^(pr[0-9a-f]+\.pem|authority\.(crt|key)|revision\.key)$/.test(entry);
  return Object.entries(before.data ?? {})
    .filter(([entry, value]) => isKept(entry) && after.data?.[entry] !== value)
    .map(([entry]) => `${keyOf(after.metadata)} lost ${entry}`);
}
