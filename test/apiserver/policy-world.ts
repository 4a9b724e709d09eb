/** The operator's policies against a real API server and real name servers; relays are played, so that a test says what pods run. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { domainPolicies, mailRelays, namespaces, secrets } from '../../operator/cluster/kinds.ts';
import type { PolicyPart, PolicyParts } from '../../operator/cluster/relay-states.ts';
import type { Controller, ControllerDeps } from '../../operator/controller.ts';
import { createDomainPolicyController } from '../../operator/domainpolicy/controller.ts';
import { policyStatesOf } from '../../operator/domainpolicy/observe.ts';
import { listAll } from '../../operator/kube/list.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { createWorkQueue } from '../../operator/kube/workqueue.ts';
import { type Operator, startOperator } from '../../operator/operator.ts';
import { parseOptions } from '../../operator/options.ts';
import * as objects from '../crds/objects.ts';
import { quiet } from '../operator/kube/fakes.ts';
import { type AuthoritativeDns, startAuthoritativeDns } from '../support/authoritative-dns.ts';
import { JumpingClock } from '../support/jumping-clock.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, never, startWorld } from './api-world.ts';
import { installOwnCrds } from './install-crds.ts';

export interface PolicyWorld extends AsyncDisposable {
  readonly api: ApiWorld;
  readonly clock: JumpingClock;
  /** `root` plays the resolver, `one` and `two` serve the zones. */
  readonly dns: { readonly root: AuthoritativeDns; readonly one: AuthoritativeDns; readonly two: AuthoritativeDns };
  /** Whether the pods take up what the operator renders. */
  podsFollow: boolean;
  /** What the pods of a relay took up, in order. */
  readonly taken: { readonly relay: string; readonly parts: PolicyParts }[];
  relay(name: string, spec?: Fields): Promise<void>;
  policy(name: string, spec?: Fields, namespace?: string): Promise<void>;
  status(name: string, namespace?: string): Promise<NonNullable<DomainPolicy['status']>>;
  /** `True Reason` of a condition. */
  condition(name: string, type: string, namespace?: string): Promise<string>;
  /** `Warning Reason` of those on a policy. */
  events(name: string, namespace?: string): Promise<string[]>;
  whenCondition(name: string, type: string, verdict: string, namespace?: string): Promise<void>;
  rings(): Promise<KubeObject[]>;
  /** Serves a zone at both servers. */
  zone(name: string, lines: readonly string[], at?: readonly AuthoritativeDns[]): Promise<void>;
  touchAll(): void;
}

const eventKind: Resource = { apiVersion: 'v1', kind: 'Event', plural: 'events', isNamespaced: true };

type Fields = Readonly<Record<string, unknown>>;

export async function startPolicyWorld(
  install: (api: ApiWorld) => Promise<void> = installOwnCrds,
): Promise<PolicyWorld> {
  const folder = await temporaryFolder();
  const start = async (name: string): Promise<AuthoritativeDns> => {
    await mkdir(join(folder.path, name));
    return await startAuthoritativeDns(join(folder.path, name));
  };
  const [api, root, one, two] = await Promise.all([startWorld(), start('root'), start('one'), start('two')]);
  await install(api);
  for (const name of ['shop', 'other'])
    await api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  const clock = new JumpingClock();
  let relays: Controller | undefined;
  const touchAll = (): void => {
    for (const key of relayKeys) relays?.queue.add(key);
  };
  const relayKeys = new Set<string>();
  let podsFollow = true;
  const taken: PolicyWorld['taken'] = [];
  const flags = ['--image', 'postroad:test', '--http', '127.0.0.1:0', '--leader-election', 'Disabled'];
  const options = parseOptions([...flags, '--nameservers', `${root.address}:53`, '--dns-targets', 'Any'], 'mail');
  const operator: Operator = await startOperator(options, {
    connection: api.server.admin,
    factories: {
      relays: deps => {
        relays = playedRelays(deps, relayKeys, { follows: () => podsFollow, taken });
        return relays;
      },
      policies: createDomainPolicyController,
    },
    ...{ clock, random: Math.random, log: quiet, identity: 'one', version: 'test' },
  });
  const get = (name: string, namespace: string): Promise<DomainPolicy & KubeObject> =>
    api.get(domainPolicies, { namespace, name });
  const world: PolicyWorld = {
    ...{ api, clock, dns: { root, one, two }, taken, touchAll },
    get podsFollow() {
      return podsFollow;
    },
    set podsFollow(follows) {
      podsFollow = follows;
      touchAll();
    },
    async relay(name, spec = {}) {
      const all = { policies: { namespaces: { from: 'All' } }, ...spec };
      await api.create(mailRelays, objects.mailRelay(all, { name, namespace: 'mail' }) as KubeObject);
    },
    async policy(name, spec = {}, namespace = 'shop') {
      const dkim = { type: 'Managed', managed: { algorithms: ['Ed25519'] } };
      await api.create(domainPolicies, objects.domainPolicy({ dkim, ...spec }, { name, namespace }) as KubeObject);
    },
    status: async (name, namespace = 'shop') => (await get(name, namespace)).status ?? {},
    async condition(name, type, namespace = 'shop') {
      const found = (await get(name, namespace)).status?.conditions?.find(one_ => one_.type === type);
      return `${found?.status} ${found?.reason}`;
    },
    async events(name, namespace = 'shop') {
      const found = await listAll<KubeObject & { readonly reason: string; readonly type: string }>({
        ...{ client: api.client, resource: eventKind, namespace, signal: never, pageSize: 100, most: 1000 },
        ...{ labelSelector: undefined, fieldSelector: `involvedObject.name=${name}` },
      });
      return found.map(({ type, reason }) => `${type} ${reason}`);
    },
    async whenCondition(name, type, verdict, namespace = 'shop') {
      let last = '';
      await waitUntil(`${name} ${type} ${verdict}`, async () => {
        last = await world.condition(name, type, namespace);
        return last === verdict;
      }).catch((error: unknown) => {
        throw new Error(`${name} ${type} is ${last}`, { cause: error });
      });
    },
    rings: () =>
      listAll<KubeObject>({
        ...{ client: api.client, resource: secrets, namespace: undefined, signal: never, pageSize: 100, most: 1000 },
        ...{ labelSelector: 'postroad.dev/policy-name', fieldSelector: undefined },
      }),
    async zone(name, lines, at = [one, two]) {
      const servers = [`@ NS ns1`, `@ NS ns2`, `ns1 A ${one.address}`, `ns2 A ${two.address}`];
      await root.setZone(name, servers);
      for (const server of at) await server.setZone(name, [...servers, ...lines]);
    },
    async [Symbol.asyncDispose]() {
      operator.stop();
      await operator.done;
      await Promise.all([root, one, two].map(server => server[Symbol.asyncDispose]()));
      await api[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
  return world;
}

/** Renders what the policies are, and has the pods run it at once, or when they follow again. */
function playedRelays(
  { cluster, clock, random, log, metrics, states, touchPolicy }: ControllerDeps,
  keys: Set<string>,
  pods: { readonly follows: () => boolean; readonly taken: PolicyWorld['taken'] },
): Controller {
  const queue = createWorkQueue({ name: 'mailrelay', clock, random, log, metrics });
  return {
    queue,
    async reconcile(key, signal) {
      const relay = cluster.relay(key);
      if (relay === undefined) return undefined;
      const found = (await policyStatesOf(relay, cluster, signal)).filter(
        ({ admission }) => admission.status === 'True',
      );
      const rendered = new Map(
        found.map(({ policy, keys: loaded }) => [
          `${policy.metadata.namespace}/${policy.metadata.name}`,
          part(policy, loaded),
        ]),
      );
      const running = pods.follows() ? rendered : states.get(key)?.running;
      if (running === rendered) pods.taken.push({ relay: key, parts: rendered });
      for (const policy of states.set(key, { rendered, running })) touchPolicy(policy);
      return undefined;
    },
    onChange(change) {
      if (change.about === 'Relay') {
        keys.add(change.key);
        queue.add(change.key);
      } else if (change.about === 'Policy' || change.about === 'Managed') for (const key of keys) queue.add(key);
    },
  };
}

function part(
  policy: DomainPolicy,
  keys: readonly { readonly selector: string; readonly signsFor?: readonly string[] }[],
): PolicyPart {
  const loaded = keys.map(({ selector }) => selector);
  const signing = keys.filter(({ signsFor }) => signsFor?.length !== 0);
  const digest = createHash('sha256')
    .update(JSON.stringify([policy.spec.domains, keys.map(({ selector, signsFor }) => [selector, signsFor])]))
    .digest('hex');
  return { digest, generation: policy.metadata.generation, loaded, signing };
}
