/** What clients should trust: for pods of any namespace to copy or mount, and for people to read. */
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

/** All authorities that sign now, will soon, or did: a client that has read it once stays right through a rotation. */
export function authoritiesConfigMap({ relay, material }: RelayInput): DesiredObject | null {
  if (material.authorities.length === 0) return null;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: ownedMetadata(relay, namesOf(relay).authorities),
    data: { 'ca.crt': material.authorities.join('') },
  };
}
