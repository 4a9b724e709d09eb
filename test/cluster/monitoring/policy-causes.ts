/** What makes a policy's mail unsigned: records that nobody publishes, a key that is not the one it should be. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { domainPolicies } from '../../../operator/cluster/kinds.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cause } from './alert-watch.ts';
import { apply, namespace, patch, relayObjects, type World } from './world.ts';

/** As many as make more than a fifth of all policies. */
const policies = ['unpublished-0', 'unpublished-1', 'unpublished-2'];

/** Serves what the policy asks for, and resolves when the operator has seen it. */
export async function publish(world: World, name: string, zone: string): Promise<void> {
  await serve(world, name, zone);
  const ready = ['--for=condition=Ready', '--timeout=120s'];
  await world.cluster.kubectl.must(['wait', 'domainpolicy', name, '-n', namespace, ...ready]);
}

async function serve(world: World, name: string, zone: string): Promise<void> {
  const { cluster, internet } = world;
  const records = await waitUntil(
    `the records that ${name} needs`,
    async () => {
      const { status } = await cluster.read<DomainPolicy>(domainPolicies, { namespace, name });
      return status?.dnsRecords?.some(({ purpose }) => purpose === 'DKIM') === true && status.dnsRecords;
    },
    { limitMs: 60_000, everyMs: 500 },
  );
  const lines = records.map(({ name: record, type, value }) => {
    const parts = value.match(/.{1,255}/g) ?? [];
    return `${record}. ${type} ${parts.map(part => `"${part}"`).join(' ')}`;
  });
  await internet.serve(zone, lines);
  // A new version of the object is looked at at once.
  await patch(world, ['domainpolicy', name], { spec: { dkim: { managed: { rotationPeriodDays: 80 } } } });
}

export function missingRecords(world: World): Cause {
  return {
    name: 'DNS records that nobody publishes',
    fires: ['PostroadOperatorObjectsNotReady of DomainPolicy'],
    async begin() {
      const objects = policies.map(name => {
        const [, object] = relayObjects({ name, domain: `${name}.test`, replicas: 1 });
        return { ...object, spec: { ...(object as { spec: object }).spec, relayRef: { name: 'fragile' } } };
      });
      await apply(world.cluster, objects);
    },
    mend: async () => void (await Promise.all(policies.map(name => serve(world, name, `${name}.test`)))),
  };
}
