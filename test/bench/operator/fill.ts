/** Puts the fleet into the API server, before any operator is there. */
import { domainPolicies, mailRelays } from '../../../operator/cluster/kinds.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { type ApiWorld, namespaces } from '../../apiserver/api-world.ts';
import { type FleetSize, fleetPolicy, fleetRelay, namespacesOf, policyName, relayName } from './fleet.ts';

const writers = 8;

export async function fill(world: ApiWorld, size: FleetSize): Promise<void> {
  const spaces = namespacesOf(size).map(name => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
  await createAll(world, namespaces, spaces);
  await createAll(
    world,
    mailRelays,
    Array.from({ length: size.relays }, (_, index) => fleetRelay(index)),
  );
  await createAll(
    world,
    domainPolicies,
    Array.from({ length: size.policies }, (_, index) =>
      fleetPolicy(index, policyName(index), relayName(index % size.relays)),
    ),
  );
}

async function createAll(world: ApiWorld, resource: Resource, objects: readonly KubeObject[]): Promise<void> {
  const waiting = objects.values();
  async function write(): Promise<void> {
    for (const object of waiting) await world.create(resource, object);
  }
  await Promise.all(Array.from({ length: writers }, write));
}
