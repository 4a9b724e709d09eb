/** The pods' identity. It may do nothing: relays never talk to the API server. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function serviceAccount(relay: MailRelay): DesiredObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: ownedMetadata(relay, namesOf(relay).relay),
    automountServiceAccountToken: false,
  };
}
