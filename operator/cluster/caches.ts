/**
 * The cluster in memory: a view of each kind, the indexes over them, and one place where every change is told. Confined to some
 * namespaces, relays and all that belongs to them are seen there alone; policies and the labels of namespaces everywhere.
 */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import { policyNeeds, relayNeeds, type SecretNeed } from '../credentials.ts';
import { relayNameOf } from '../domainpolicy/attach.ts';
import type { KubeClient } from '../kube/client.ts';
import { orAborted } from '../kube/deadline.ts';
import type { MetricSink } from '../kube/metrics.ts';
import { type KubeObject, keyOf, type Resource } from '../kube/object.ts';
import type { ObjectIndex } from '../kube/store.ts';
import type { Uptime } from '../kube/uptime.ts';
import { fieldManager } from '../labels.ts';
import { type ClusterChange, policyKeyOf, relayKeyOf } from './change.ts';
import type { Cluster } from './cluster.ts';
import { claim, managedObject, namespaceLabels, pod, userObject } from './kept.ts';
import {
  domainPolicies,
  mailRelays,
  managedKinds,
  namespaces as namespaceKind,
  type OptionalKind,
  optionalKinds,
  persistentVolumeClaims,
  pods,
  secrets,
} from './kinds.ts';
import { createStrays } from './strays.ts';
import { createUserSecrets, nameAndVersion, secretMetadata } from './user-secrets.ts';
import { createView, type View, type ViewOptions } from './view.ts';

export interface CachesOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly uptime?: Uptime;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MetricSink;
  /** Undefined: everywhere. */
  readonly relayNamespaces: readonly string[] | undefined;
}

export interface Caches {
  readonly cluster: Cluster;
  readonly isSynced: boolean;
  /** Kinds whose first list is still to come. */
  readonly unsynced: readonly string[];
  whenSynced(signal: AbortSignal): Promise<void>;
  /** Told of each change from now on, until the function that it returns is called. */
  onChange(handler: (change: ClusterChange) => void): () => void;
  /** Tells the handler of everything that is there, as of a first list. */
  replay(handler: (change: ClusterChange) => void): void;
  /** Resolves when the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** Pages of all kinds are read at once at the start: with 500 objects in each, the operator of a large cluster grew by 40 MiB for good. */
const pageSize = 100;

const managedSelector = `app.kubernetes.io/managed-by=${fieldManager}`;
/** Pods and claims have only the labels of their workload's selector (labels.ts). */
const relayPodSelector = 'app.kubernetes.io/name=postroad,app.kubernetes.io/component=relay';

/** Kept whole, where they are somebody's who is known (strays.ts). */
const kindsWithContent = ['Secret', 'ConfigMap', 'DNSEndpoint'];

export function createCaches({ relayNamespaces, ...parts }: CachesOptions): Caches {
  const handlers = new Set<(change: ClusterChange) => void>();
  const tell = (change: ClusterChange): void => {
    for (const handler of handlers) handler(change);
  };
  const confined = <T extends KubeObject>(options: Partial<ViewOptions<T>> & { resource: Resource }): View<T> =>
    createView<T>({ ...parts, pageSize, namespaces: relayNamespaces, ...options });
  const everywhere = { namespaces: undefined };

  const relays = confined<MailRelay>({ resource: mailRelays, transform: userObject });
  const policies = confined<DomainPolicy>({ resource: domainPolicies, transform: userObject, ...everywhere });
  const namespaces = confined({ resource: namespaceKind, transform: namespaceLabels, ...everywhere });
  const owners = [relays.addIndex(listed(uidOf)), policies.addIndex(listed(uidOf))];
  const strays = createStrays({
    ...parts,
    isOwner: (uid, namespace) =>
      owners.some(index => index.get(uid).some(({ metadata }) => metadata.namespace === namespace)),
    isRelay: key => relays.get(key) !== undefined,
  });
  const managed = new Map(managedKinds.map(resource => [resource.kind, managedView(resource)]));
  const relayPods = confined({ resource: pods, transform: pod, labelSelector: relayPodSelector });
  const claims = confined({ resource: persistentVolumeClaims, transform: claim, labelSelector: relayPodSelector });
  const secretVersions = confined({ resource: secretMetadata, parts: 'Metadata', transform: nameAndVersion });
  const views: readonly View<never>[] = [
    ...[relays, policies, namespaces, relayPods, claims, secretVersions],
    ...managed.values(),
  ] as unknown as View<never>[];

  function managedView(resource: Resource): View<KubeObject> {
    const isOptional = Object.values<Resource>(optionalKinds).includes(resource);
    const onKnown = (): void => tell({ about: 'Kinds', isInitial: false });
    const optional = isOptional ? { isOptional, onKnown } : {};
    const kept = managedObject(resource);
    const transform = kindsWithContent.includes(resource.kind) ? strays.keeping(kept) : kept;
    return confined({ resource, labelSelector: managedSelector, transform, ...optional });
  }

  const policiesByRelay = policies.addIndex(policy => [relayNameOf(policy)]);
  const relaysBySecret = relays.addIndex(relay => relayNeeds(relay).map(keyOf));
  const policiesBySecret = policies.addIndex(policy => policyNeeds(policy).map(keyOf));
  const byRelay = (view: View<KubeObject>): ObjectIndex<KubeObject> => view.addIndex(listed(relayKeyOf));
  const managedByRelay = new Map([...managed].map(([kind, view]) => [kind, byRelay(view)]));
  const podsByRelay = byRelay(relayPods);
  const claimsByRelay = byRelay(claims);
  const keySecrets = viewOf(secrets).addIndex(listed(policyKeyOf));

  function viewOf({ kind }: Pick<Resource, 'kind'>): View<KubeObject> {
    const view = managed.get(kind);
    if (view === undefined) throw new RangeError(`${kind} is no kind that relays have objects of`);
    return view;
  }

  const namespaceMap = new Map<string, Readonly<Record<string, string>>>();
  namespaces.onChange(({ type, object: { metadata } }) => {
    if (type === 'deleted') namespaceMap.delete(metadata.name);
    else namespaceMap.set(metadata.name, metadata.labels ?? {});
  });

  const userSecrets = createUserSecrets({
    ...parts,
    view: secretVersions,
    namespaces: relayNamespaces,
    isReferenced: key => relaysBySecret.get(key).length + policiesBySecret.get(key).length > 0,
  });
  const rereads = new Set<Promise<void>>();
  const ended = new AbortController();
  function rereadAll(kind: string, objects: readonly (KubeObject | undefined)[]): void {
    for (const object of objects) {
      if (object === undefined || !strays.isUnread(object)) continue;
      const reread = (): Promise<void> => viewOf({ kind }).reread(object, ended.signal);
      const done = strays.readAgain(object, reread, ended.signal).finally(() => rereads.delete(done));
      rereads.add(done);
    }
  }
  /** What belongs to it may have been seen before it. */
  relays.onChange(({ key }) => {
    for (const kind of ['Secret', 'ConfigMap']) rereadAll(kind, managedByRelay.get(kind)?.get(key) ?? []);
  });
  policies.onChange(({ key }) => rereadAll('DNSEndpoint', [viewOf(optionalKinds.dnsEndpoint).get(`${key}-dns`)]));

  userSecrets.onChange((key, isInitial) => {
    const readers = {
      relays: relaysBySecret.get(key).map(keyOfObject),
      policies: policiesBySecret.get(key).map(keyOfObject),
    };
    tell({ about: 'UserSecret', key, ...readers, isInitial });
  });
  const release = (needs: readonly SecretNeed[]): void => {
    for (const need of needs) userSecrets.release(keyOf(need));
  };

  relays.onChange(change => {
    if (change.previous !== undefined) release(relayNeeds(change.previous));
    tell({ about: 'Relay', ...change });
  });
  policies.onChange(change => {
    if (change.previous !== undefined) release(policyNeeds(change.previous));
    tell({ about: 'Policy', ...change });
  });
  namespaces.onChange(change => tell({ about: 'Namespace', ...change }));
  relayPods.onChange(change => tell({ about: 'Pod', ...change }));
  claims.onChange(change => tell({ about: 'Claim', ...change }));
  for (const resource of managedKinds) {
    viewOf(resource).onChange(change => tell({ about: 'Managed', resource, ...change }));
  }

  return {
    cluster: {
      relay: relays.get,
      policy: policies.get,
      relays: relays.values,
      policies: policies.values,
      policiesNaming: key => policiesByRelay.get(key),
      namespaces: namespaceMap,
      managed: (resource, key) => strays.asRead(viewOf(resource).get(key)),
      managedOf: ({ kind }, relayKey) => (managedByRelay.get(kind)?.get(relayKey) ?? []).map(strays.asRead),
      podsOf: key => podsByRelay.get(key),
      claimsOf: key => claimsByRelay.get(key),
      kinds: kindsOf(viewOf),
      hasSecret: key => secretVersions.get(key) !== undefined,
      keySecretsOf: key => keySecrets.get(key).map(strays.asRead),
      readSecret: userSecrets.read,
    },
    get isSynced() {
      return views.every(({ isSynced }) => isSynced);
    },
    get unsynced() {
      return views.filter(({ isSynced }) => !isSynced).map(({ kind }) => kind);
    },
    async whenSynced(signal) {
      await Promise.all(views.map(view => view.whenSynced(signal)));
    },
    onChange(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    replay(handler) {
      for (const object of relays.values()) handler({ about: 'Relay', ...initial(object) });
      for (const object of policies.values()) handler({ about: 'Policy', ...initial(object) });
      for (const resource of managedKinds) {
        for (const object of viewOf(resource).values()) handler({ about: 'Managed', resource, ...initial(object) });
      }
      for (const object of relayPods.values()) handler({ about: 'Pod', ...initial(object) });
      for (const object of claims.values()) handler({ about: 'Claim', ...initial(object) });
    },
    async run(signal) {
      const owners = Promise.all([relays.whenSynced(signal), policies.whenSynced(signal)]);
      // Their content is kept by who owns them.
      const inOrder = async (view: View<never>): Promise<void> => {
        if (kindsWithContent.includes(view.kind)) await orAborted(owners, signal);
        await view.run(signal);
      };
      await Promise.all([...views.map(inOrder), userSecrets.run(signal)]);
      ended.abort();
      await Promise.all(rereads);
    },
  };
}

function kindsOf(viewOf: (resource: Resource) => View<KubeObject>): Cluster['kinds'] {
  const isKnown = (kind: OptionalKind): boolean => viewOf(optionalKinds[kind]).isKnown;
  return {
    get certManager() {
      return isKnown('certManager');
    },
    get podMonitor() {
      return isKnown('podMonitor');
    },
    get prometheusRule() {
      return isKnown('prometheusRule');
    },
    get dnsEndpoint() {
      return isKnown('dnsEndpoint');
    },
  };
}

function initial<T extends KubeObject>(object: T) {
  return { type: 'added' as const, key: keyOfObject(object), object, previous: undefined, isInitial: true };
}

function uidOf({ metadata }: KubeObject): string | undefined {
  return metadata.uid;
}

function keyOfObject({ metadata }: KubeObject): string {
  return keyOf(metadata);
}

function listed<T>(keyFor: (object: T) => string | undefined): (object: T) => readonly string[] {
  return object => {
    const value = keyFor(object);
    return value === undefined ? [] : [value];
  };
}
