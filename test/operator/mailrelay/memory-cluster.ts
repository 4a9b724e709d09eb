/** A cluster in memory: what is written is there at once. It knows as much of server-side apply as one writer can tell, and fails where it is told to. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { policyKeyOf, relayKeyOf } from '../../../operator/cluster/change.ts';
import type { Cluster } from '../../../operator/cluster/cluster.ts';
import { domainPolicies, mailRelays, persistentVolumeClaims, pods, secrets } from '../../../operator/cluster/kinds.ts';
import type { SecretData } from '../../../operator/credentials.ts';
import { relayNameOf } from '../../../operator/domainpolicy/attach.ts';
import type { KubeClient, Request } from '../../../operator/kube/client.ts';
import { ApiError } from '../../../operator/kube/errors.ts';
import { type FieldSet, type KubeObject, pathOf, type Resource } from '../../../operator/kube/object.ts';
import { keepingOwnFields, ownFields } from '../../../operator/kube/transform.ts';
import { fieldManager } from '../../../operator/labels.ts';

const keep = keepingOwnFields<KubeObject>(fieldManager);

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

export class MemoryCluster implements Cluster {
  readonly namespaces = new Map<string, Readonly<Record<string, string>>>();
  readonly kinds = { certManager: true, podMonitor: true, prometheusRule: true, dnsEndpoint: true };
  readonly secrets = new Map<string, SecretData | 'Missing' | 'Forbidden'>();
  readonly asked: Asked[] = [];
  /** Called before each request is carried out; what it throws is the answer. */
  onRequest: (request: Asked) => void = () => undefined;
  readonly #objects = new Map<string, KubeObject>();
  #version = 0;

  readonly client: KubeClient = {
    namespace: undefined,
    request: async <T>(request: Request) => (await this.#request(request)) as T,
    watch: () => Promise.reject(new Error('nobody watches')),
    close: () => undefined,
  };

  get writes(): Asked[] {
    return this.asked.filter(({ method }) => method !== 'GET');
  }

  put(resource: Resource, object: KubeObject): void {
    const path = pathOf(resource, object.metadata);
    const uid = object.metadata.uid ?? `uid-${path}`;
    const metadata = { generation: 1, ...object.metadata, uid, resourceVersion: String(++this.#version) };
    this.#objects.set(path, keep({ ...object, metadata }));
  }

  at<T extends KubeObject>(resource: Resource, key: string): T | undefined {
    const [namespace = '', name = ''] = key.split('/');
    return this.#objects.get(pathOf(resource, { namespace, name })) as T | undefined;
  }

  remove(resource: Resource, key: string): void {
    const [namespace = '', name = ''] = key.split('/');
    this.#objects.delete(pathOf(resource, { namespace, name }));
  }

  /** What some relay owns. */
  owned(): KubeObject[] {
    return [...this.#objects.values()].filter(({ metadata }) => metadata.ownerReferences?.[0]?.kind === 'MailRelay');
  }

  relay(key: string): MailRelay | undefined {
    return this.at(mailRelays, key) as MailRelay | undefined;
  }

  policy(key: string): DomainPolicy | undefined {
    return this.at(domainPolicies, key) as DomainPolicy | undefined;
  }

  relays(): Iterable<MailRelay> {
    return this.#of('MailRelay') as unknown as MailRelay[];
  }

  policies(): Iterable<DomainPolicy> {
    return this.#of('DomainPolicy') as unknown as DomainPolicy[];
  }

  policiesNaming(relayKey: string): readonly DomainPolicy[] {
    return [...this.policies()].filter(policy => relayNameOf(policy) === relayKey);
  }

  managed(resource: Resource, key: string): KubeObject | undefined {
    const object = this.at(resource, key);
    return object?.metadata.labels?.['app.kubernetes.io/managed-by'] === fieldManager ? object : undefined;
  }

  managedOf({ kind }: Resource, relayKey: string): readonly KubeObject[] {
    return this.#of(kind).filter(object => relayKeyOf(object) === relayKey);
  }

  podsOf(relayKey: string): readonly KubeObject[] {
    return this.managedOf(pods, relayKey);
  }

  claimsOf(relayKey: string): readonly KubeObject[] {
    return this.managedOf(persistentVolumeClaims, relayKey);
  }

  hasSecret(key: string): boolean {
    return this.at(secrets, key) !== undefined;
  }

  keySecretsOf(key: string): readonly KubeObject[] {
    return this.#of('Secret').filter(object => policyKeyOf(object) === key);
  }

  async readSecret(namespace: string, name: string): Promise<SecretData | 'Missing' | 'Forbidden'> {
    const there = this.at<KubeObject & { readonly data?: Readonly<Record<string, string>> }>(
      secrets,
      `${namespace}/${name}`,
    );
    const data = Object.entries(there?.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const);
    return this.secrets.get(`${namespace}/${name}`) ?? (there === undefined ? 'Missing' : new Map(data));
  }

  #of(kind: string): KubeObject[] {
    return [...this.#objects.values()].filter(object => object.kind === kind);
  }

  async #request({ method, path: whole, body, contentType }: Request): Promise<unknown> {
    const asked = { method, path: whole, body };
    this.asked.push(asked);
    this.onRequest(asked);
    const path = whole.replace(/\/status$/, '');
    const live = this.#objects.get(path);
    if (live === undefined && (method !== 'PATCH' || path !== whole || contentType?.startsWith('application/merge')))
      throw new ApiError(`${method} ${whole}`, { code: 404, reason: 'NotFound' });
    if (method === 'GET') return live;
    if (method === 'DELETE') return this.#objects.delete(path);
    const change = body as KubeObject & { readonly status?: unknown };
    const { uid = live?.metadata.uid, resourceVersion = live?.metadata.resourceVersion } = change.metadata;
    const isThisOne = uid === live?.metadata.uid && resourceVersion === live?.metadata.resourceVersion;
    if (live !== undefined && !isThisOne) throw new ApiError(`${method} ${whole}`, { code: 409, reason: 'Conflict' });
    const next = path === whole ? applied(live, change, path) : { ...live, status: change.status };
    return this.#store(path, next as KubeObject);
  }

  #store(path: string, object: KubeObject): KubeObject {
    const { deletionTimestamp, finalizers = [] } = object.metadata;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    if (deletionTimestamp !== undefined && finalizers.length === 0) this.#objects.delete(path);
    else this.#objects.set(path, keepStored(stored));
    return stored;
  }
}

/** Once kept, an object has its own fields already. */
function keepStored(object: KubeObject): KubeObject {
  return object.metadata.managedFields === undefined ? object : keep(object);
}

/** Of others' objects (relays, pods, claims) a part is written; of our own, all. */
function applied(live: KubeObject | undefined, change: KubeObject, path: string): KubeObject {
  const isOurs = change.metadata.ownerReferences !== undefined;
  const managedFields = [{ manager: fieldManager, operation: 'Apply', fieldsV1: fieldsOf(withoutNames(change)) }];
  const { labels, annotations, finalizers, ...rest } = change.metadata;
  const before = live?.metadata;
  const metadata = {
    ...before,
    ...rest,
    uid: before?.uid ?? `uid-${path}`,
    resourceVersion: '',
    generation: (before?.generation ?? 0) + 1,
    labels: { ...before?.labels, ...labels },
    annotations: { ...withoutOwn(live), ...annotations },
    ...(finalizers !== undefined && { finalizers }),
    managedFields,
  };
  return isOurs ? { ...live, ...change, metadata } : ({ ...live, metadata } as KubeObject);
}

/** What it wrote before and writes no more goes. */
function withoutOwn(live: KubeObject | undefined): Readonly<Record<string, string>> {
  const fields = live === undefined ? undefined : ownFields(live, fieldManager, '');
  const own = fields?.['f:metadata']?.['f:annotations'] ?? {};
  return Object.fromEntries(Object.entries(live?.metadata.annotations ?? {}).filter(([name]) => !(`f:${name}` in own)));
}

function withoutNames({ metadata, ...object }: KubeObject): unknown {
  const { labels, annotations, ownerReferences } = metadata;
  return { ...object, metadata: { labels, annotations, ownerReferences } };
}

function fieldsOf(value: unknown): FieldSet {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, below]) => [`f:${name}`, fieldsOf(below)]));
}
