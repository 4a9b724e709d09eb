/** What makes the operator's alerts fire: what happens to its pods, its lease, its rights and its objects. */
import { waitUntil } from '../../support/wait-until.ts';
import { release, releaseNamespace } from '../cluster.ts';
import { type Cause, together } from './alert-watch.ts';
import { apply, namespace, relayObjects, type World } from './world.ts';

const deployment = `deployment/${release}`;
const here = ['-n', releaseNamespace];
const relaysRole = `${releaseNamespace}-${release}-relays`;
const all = ['get', 'list', 'watch', 'create', 'patch', 'delete'];

export function operatorCauses(world: World): readonly Cause[] {
  return [
    secondOperator(world),
    // It resolves last: losses of the lease are counted over an hour.
    thief(world),
    together(lostWrites(world), otherHand(world)),
    lostReads(world),
    stopped(world),
  ];
}

/** By hand, with the flag that is for places without a second one. */
function secondOperator({ cluster: { kubectl, get } }: World): Cause {
  return {
    name: 'a second operator without leader election',
    fires: ['PostroadOperatorTwoLeaders'],
    async begin() {
      const { spec } = await get<Deployment>(deployment, ...here);
      const { template } = spec;
      const [container] = template.spec.containers;
      if (container === undefined) throw new Error('the operator has no container');
      const args = [...container.args, '--leader-election=Disabled'];
      const pod = {
        ...{ apiVersion: 'v1', kind: 'Pod' },
        metadata: { name: `${release}-by-hand`, namespace: releaseNamespace, labels: template.metadata.labels },
        spec: { ...template.spec, containers: [{ ...container, args }] },
      };
      await kubectl.must(['apply', '-f', '-'], JSON.stringify(pod));
    },
    async mend() {
      await kubectl.must(['delete', 'pod', `${release}-by-hand`, ...here, '--wait=false']);
    },
  };
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] };
    };
  };
}

/** Another rule in the place of one of the role's; `group` and `resource` say which. */
async function allow({ cluster: { kubectl, get } }: World, resource: string, verbs: readonly string[]): Promise<void> {
  const { rules } = await get<{ rules: { resources: string[]; verbs: string[] }[] }>('clusterrole', relaysRole);
  const index = rules.findIndex(({ resources }) => resources.includes(resource));
  if (index < 0) throw new Error(`no rule for ${resource}`);
  const change = [{ op: 'replace', path: `/rules/${index}/verbs`, value: verbs }];
  await kubectl.must(['patch', 'clusterrole', relaysRole, '--type', 'json', '-p', JSON.stringify(change)]);
}

/** It may read workloads and write none, just when several relays are new. */
function lostWrites(world: World): Cause {
  const relays = Array.from({ length: 8 }, (_, index) => `idle-${index}`);
  return {
    name: 'the role without the writing of workloads',
    fires: ['PostroadOperatorForbidden', 'PostroadOperatorReconcileErrors'],
    async begin() {
      await allow(world, 'statefulsets', ['get', 'list', 'watch']);
      const objects = relays.flatMap(name => relayObjects({ name, domain: `${name}.test`, replicas: 0 }).slice(0, 1));
      await apply(world.cluster, objects);
    },
    async mend() {
      await allow(world, 'statefulsets', all);
      await world.cluster.kubectl.must(['delete', 'mailrelay', ...relays, '-n', namespace, '--wait=false']);
    },
  };
}

/** New pods cannot read a kind that they need. */
function lostReads(world: World): Cause {
  const { kubectl } = world.cluster;
  return {
    name: 'the role without a kind, and new pods',
    fires: ['PostroadOperatorNotSynced', 'PostroadOperatorWatchesFailing of NetworkPolicy'],
    async begin() {
      await allow(world, 'networkpolicies', ['create']);
      // Each alone tries again every few seconds: as many as make the shortened window see what a quarter of an hour would.
      await kubectl.must(['scale', deployment, ...here, '--replicas=4']);
      await kubectl.must(['delete', 'pods', ...here, '-l', 'app.kubernetes.io/component=operator', '--wait=false']);
    },
    async mend() {
      await allow(world, 'networkpolicies', all);
      await kubectl.must(['scale', deployment, ...here, '--replicas=2']);
      await kubectl.must(['rollout', 'status', deployment, ...here, '--timeout=120s']);
    },
  };
}

/** Somebody else writes himself into the lease, each time that it has a holder. */
function thief({ cluster: { kubectl, get } }: World): Cause {
  interface Lease {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly holderIdentity?: string };
  }
  return {
    name: 'somebody else writes himself into the lease',
    fires: ['PostroadOperatorLeaderMissing', 'PostroadOperatorLeaseUnstable'],
    begin: async () => undefined,
    async goOn() {
      const { items } = await get<{ items: Lease[] }>('leases', ...here);
      const held = items.filter(({ spec }) => spec.holderIdentity !== 'thief');
      for (const { metadata } of held) {
        const now = new Date().toISOString().replace('Z', '000Z');
        const spec = { holderIdentity: 'thief', leaseDurationSeconds: 5, acquireTime: now, renewTime: now };
        const change = ['--type', 'merge', '-p', JSON.stringify({ spec })];
        await kubectl.must(['patch', 'lease', metadata.name, ...here, ...change]);
      }
    },
    mend: async () => undefined,
  };
}

/** Somebody else wants another value of a field that the operator keeps. */
function otherHand(world: World): Cause {
  // Of relays that no other cause pauses.
  const services = ['faulty', 'mortal'].flatMap(relay => [`${relay}-metrics`, `${relay}-headless`]);
  let count = 0;
  return {
    name: 'somebody else keeps changing Services',
    fires: ['PostroadOperatorWritesWithoutEnd of Service'],
    begin: async () => undefined,
    async goOn() {
      count += 1;
      const change = JSON.stringify([{ op: 'replace', path: '/spec/ports/0/targetPort', value: 2000 + (count % 2) }]);
      const where = ['-n', namespace, '--type', 'json', '-p', change];
      await Promise.all(services.map(name => world.cluster.kubectl.must(['patch', 'service', name, ...where])));
    },
    mend: async () => undefined,
  };
}

function stopped({ cluster: { kubectl } }: World): Cause {
  const scale = async (replicas: number): Promise<void> => {
    await kubectl.must(['scale', deployment, ...here, `--replicas=${replicas}`]);
  };
  return {
    name: 'the operator scaled to nothing',
    fires: ['PostroadOperatorDown'],
    begin: () => scale(0),
    async mend() {
      await scale(2);
      await waitUntil(
        'the operator to run again',
        async () => (await kubectl.run(['rollout', 'status', deployment, ...here, '--timeout=60s'])).code === 0,
        { limitMs: 120_000, everyMs: 500 },
      );
    },
  };
}
