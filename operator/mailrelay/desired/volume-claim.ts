/** Volumes that should be larger: a claim template cannot change, the claims made from it can. */
import { bytesOf } from '../../../crds/size.ts';
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import type { DesiredObject } from './object.ts';

export function largerClaims({ relay, existing }: Pick<RelayInput, 'relay' | 'existing'>): DesiredObject[] {
  const { volume } = relay.spec.queue;
  if (volume === undefined) return [];
  return [...existing.claims]
    .filter(([, claim]) => bytesOf(claim.size) < bytesOf(volume.size))
    .map(([ordinal]) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: namesOf(relay).claim(ordinal), namespace: relay.metadata.namespace },
      spec: { resources: { requests: { storage: String(volume.size) } } },
    }));
}
