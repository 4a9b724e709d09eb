/** What people do to a cluster, by chance and repeatable: relays, policies, users' Secrets, and hands on what the operator made. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, managedKinds, secrets } from '../../../operator/cluster/kinds.ts';
import { ApiError } from '../../../operator/kube/errors.ts';
import { listAll } from '../../../operator/kube/list.ts';
import { type KubeObject, pathOf, type Resource } from '../../../operator/kube/object.ts';
import * as objects from '../../crds/objects.ts';
import { type ApiWorld, never } from '../api-world.ts';

/** Where relays are, and where policies are. */
export interface Places {
  readonly relays: string;
  readonly policies: string;
}

export const managedSelector = 'app.kubernetes.io/managed-by=postroad-operator';

export async function listOf<T extends KubeObject>(
  { client }: ApiWorld,
  resource: Resource,
  { namespace, labelSelector }: { readonly namespace: string; readonly labelSelector?: string | undefined },
): Promise<T[]> {
  const selection = { resource, namespace, labelSelector, fieldSelector: undefined, signal: never };
  return await listAll<T>({ client, ...selection, pageSize: 500, most: 5000 });
}

/** What a hand may take away without losing what chance made once. */
export const touchedKinds = managedKinds.filter(({ kind }) =>
  ['ConfigMap', 'Service', 'NetworkPolicy', 'PodDisruptionBudget', 'ServiceAccount', 'StatefulSet'].includes(kind),
);

const usersSecrets = ['users-0', 'users-1'];
const mostRelays = 6;
const mostPolicies = 14;

export class RandomChanges {
  readonly #world: ApiWorld;
  readonly #random: () => number;
  readonly #places: Places;
  readonly #relays: string[] = [];
  readonly #policies: string[] = [];
  #count = 0;
  readonly done = new Map<string, number>();

  constructor(world: ApiWorld, random: () => number, places: Places) {
    this.#world = world;
    this.#random = random;
    this.#places = places;
  }

  /** One change, that took effect or met an object on its way out. */
  async one(): Promise<void> {
    const kinds = this.#kinds();
    const total = kinds.reduce((all, [, weight]) => all + weight, 0);
    const at = this.#random() * total;
    let sum = 0;
    const chosen = kinds.find(([, weight]) => {
      sum += weight;
      return at < sum;
    });
    if (chosen === undefined) throw new Error('nothing can be done');
    const [name, , work] = chosen;
    try {
      await work();
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    } catch (error) {
      // It was going, or was changed by the operator at this moment.
      if (!(error instanceof ApiError && [404, 409].includes(error.status))) throw error;
    }
  }

  /** What relays refer to is there in the end: without it, one keeps what it had before, and that differs with its past. */
  async settle(): Promise<void> {
    for (const name of usersSecrets) await this.#setUsers(name);
  }

  #kinds(): (readonly [string, number, () => Promise<void>])[] {
    const [relays, policies] = [this.#relays.length, this.#policies.length];
    const when = (holds: boolean, weight: number): number => (holds ? weight : 0);
    return [
      ['create relay', when(relays < mostRelays, relays < 3 ? 6 : 1.5), () => this.#createRelay()],
      ['edit relay', when(relays > 0, 3), () => this.#editRelay()],
      ['delete relay', when(relays > 3, 0.6), () => this.#deleteRelay()],
      ['create policy', when(relays > 0 && policies < mostPolicies, policies < 5 ? 5 : 3), () => this.#createPolicy()],
      ['edit policy', when(policies > 0, 3), () => this.#editPolicy()],
      ['delete policy', when(policies > 4, 1), () => this.#deletePolicy()],
      ['edit owned', when(relays > 0, 3), () => this.#touchOwned('edit')],
      ['delete owned', when(relays > 0, 2), () => this.#touchOwned('delete')],
      ['change users', 2, () => this.#changeUsers()],
    ];
  }

  #pick<T>(all: readonly T[]): T {
    const one = all[Math.floor(this.#random() * all.length)];
    if (one === undefined) throw new Error('nothing to choose from');
    return one;
  }

  /** The first ones stay, and belong together: whatever the seed, there are keys in the end. */
  #laterThanFirst(all: readonly string[]): number {
    return 1 + Math.floor(this.#random() * (all.length - 1));
  }

  async #createRelay(): Promise<void> {
    const name = `relay-${++this.#count}`;
    const listeners = [{ name: 'smtp', port: 25, authentication: 'Optional', tls: 'Optional' }];
    const spec = {
      ...{ replicas: this.#pick([0, 1, 1, 2]), listeners, policies: { namespaces: { from: 'All' } } },
      ...(this.#random() < 0.5 && { clients: { usersSecretRef: { name: this.#pick(usersSecrets) } } }),
    };
    await this.#world.create(mailRelays, objects.mailRelay(spec, this.#relayName(name)) as MailRelay & KubeObject);
    this.#relays.push(name);
  }

  #relayName(name: string): { name: string; namespace: string } {
    return { name, namespace: this.#places.relays };
  }

  #policyName(name: string): { name: string; namespace: string } {
    return { name, namespace: this.#places.policies };
  }

  async #editRelay(): Promise<void> {
    const spec = this.#pick([
      { replicas: this.#pick([0, 1, 2]) },
      { hostname: `mx-${++this.#count}.example.com` },
      { limits: { maxRecipients: 10 + ++this.#count } },
      { template: { annotations: { 'example.com/turn': String(++this.#count) } } },
    ]);
    await this.#world.edit(mailRelays, this.#relayName(this.#pick(this.#relays)), { spec });
  }

  async #deleteRelay(): Promise<void> {
    const [name = ''] = this.#relays.splice(this.#laterThanFirst(this.#relays), 1);
    await this.#world.remove(mailRelays, this.#relayName(name));
  }

  async #createPolicy(): Promise<void> {
    const name = `policy-${++this.#count}`;
    const managed = { algorithms: this.#pick([['Ed25519'], ['RSA2048', 'Ed25519']]) };
    const isFirst = this.#policies.length === 0;
    const relay = isFirst ? this.#relays[0] : this.#pick(this.#relays);
    const spec = {
      relayRef: this.#relayName(relay ?? ''),
      domains: [`${name}.example.com`],
      dkim: isFirst || this.#random() < 0.85 ? { type: 'Managed', managed } : { type: 'Disabled' },
      dns: { checks: 'Disabled' },
    };
    const policy = objects.domainPolicy(spec, this.#policyName(name)) as DomainPolicy & KubeObject;
    await this.#world.create(domainPolicies, policy);
    this.#policies.push(name);
  }

  async #editPolicy(): Promise<void> {
    const name = this.#pick(this.#policies);
    const count = ++this.#count;
    const spec = this.#pick([
      { domains: [`${name}.example.com`, `${name}-${count}.example.com`] },
      { bounces: { to: `bounces-${count}@example.com` } },
      { senders: { users: [`user-${count}`] } },
    ]);
    await this.#world.edit(domainPolicies, this.#policyName(name), { spec });
  }

  async #deletePolicy(): Promise<void> {
    const [name = ''] = this.#policies.splice(this.#laterThanFirst(this.#policies), 1);
    await this.#world.remove(domainPolicies, this.#policyName(name));
  }

  async #touchOwned(how: 'edit' | 'delete'): Promise<void> {
    const resource = this.#pick(touchedKinds);
    const found = await listOf(this.#world, resource, {
      ...{ namespace: this.#places.relays, labelSelector: managedSelector },
    });
    if (found.length === 0) return;
    const { name } = this.#pick(found).metadata;
    if (how === 'delete') await this.#world.remove(resource, this.#relayName(name));
    else
      await this.#world.edit(resource, this.#relayName(name), {
        metadata: { labels: { 'app.kubernetes.io/part-of': 'somebody' } },
      });
  }

  async #changeUsers(): Promise<void> {
    const name = this.#pick(usersSecrets);
    if (this.#random() < 0.2) await this.#world.remove(secrets, this.#relayName(name));
    else await this.#setUsers(name);
  }

  async #setUsers(name: string): Promise<void> {
    const metadata = this.#relayName(name);
    const data = { demo: Buffer.from(`a password ${++this.#count}`).toString('base64') };
    await this.#world.client.request({
      ...{ method: 'PATCH', path: pathOf(secrets, metadata), signal: never },
      ...{ query: { fieldManager: 'somebody', force: true }, contentType: 'application/apply-patch+yaml' },
      body: { apiVersion: 'v1', kind: 'Secret', metadata, data },
    });
  }
}
