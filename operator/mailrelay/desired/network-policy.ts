/**
 * Who may reach the pods. Listeners are open: who sends is decided by identity, never by where from. HTTP is not: it shows metrics.
 *
 * Nothing is said about where pods may go. Rules see the ports of pods and not those of Services, so that any list of
 * them would cut off somebody's smart host, Redis or resolver.
 */
import { httpPort, podPort } from '../../../crds/listener.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { selectorLabels } from '../../labels.ts';
import type { DesiredOptions } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function networkPolicy(relay: MailRelay, options: DesiredOptions): DesiredObject | null {
  if (relay.spec.networkPolicy === 'Disabled') return null;
  const { operator, monitoringNamespaces } = options;
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: ownedMetadata(relay, namesOf(relay).relay),
    spec: {
      podSelector: { matchLabels: selectorLabels(relay) },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: relay.spec.listeners.map(listener => ({ port: podPort(listener), protocol: 'TCP' })) },
        {
          ports: [{ port: httpPort, protocol: 'TCP' }],
          from: [
            { ...namespaceNamed(operator.namespace), podSelector: { matchLabels: operator.podLabels } },
            ...monitoringNamespaces.map(namespaceNamed),
          ],
        },
      ],
    },
  };
}

function namespaceNamed(name: string): { readonly namespaceSelector: unknown } {
  return { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } };
}
