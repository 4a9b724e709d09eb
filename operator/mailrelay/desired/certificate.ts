/** The Certificate that is asked of cert-manager. */
import { objectLabels } from '../../labels.ts';
import { offersTls } from './config.ts';
import type { DesiredOptions, RelayInput } from './input.ts';
import { certificateNames, namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function certificate({ relay, kinds }: RelayInput, { clusterDomain }: DesiredOptions): DesiredObject | null {
  const { certManager } = relay.spec.tls;
  if (certManager === undefined || !kinds.certManager || !offersTls(relay)) return null;
  const names = namesOf(relay);
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: ownedMetadata(relay, names.relay),
    spec: {
      secretName: names.issued,
      // By these labels the operator watches the Secret, and no others of the cluster.
      secretTemplate: { labels: objectLabels(relay) },
      dnsNames: certificateNames(relay, clusterDomain),
      issuerRef: { ...certManager.issuerRef, group: 'cert-manager.io' },
      privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
      usages: ['digital signature', 'server auth'],
      revisionHistoryLimit: 1,
    },
  };
}
