/** Services: for clients, for the names of pods, and for metrics. */
import { httpPort, podPort } from '../../../crds/listener.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { selectorLabels, servingLabel } from '../../labels.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

const http = { name: 'http', port: httpPort, targetPort: httpPort, protocol: 'TCP' };

/** `null` once the relay is being deleted: its pods then deliver what they hold, and take no more. */
export function clientService(relay: MailRelay): DesiredObject | null {
  if (relay.metadata.deletionTimestamp !== undefined) return null;
  const { listeners } = relay.spec;
  const ports = listeners.map(({ name, port, bindPort }) => ({
    name,
    port,
    // By number: the pods name no ports of listeners (pod.ts).
    targetPort: podPort(bindPort === undefined ? { port } : { port, bindPort }),
    protocol: 'TCP',
  }));
  const ownsHttpPort = listeners.some(({ port }) => port === httpPort);
  return service(relay, namesOf(relay).service, {
    type: 'ClusterIP',
    ipFamilyPolicy: 'PreferDualStack',
    selector: { ...selectorLabels(relay), [servingLabel]: 'true' },
    ports: ownsHttpPort ? ports : [...ports, http],
  });
}

/** Gives the pods of a StatefulSet their names, also those that are not ready. */
export function headlessService(relay: MailRelay): DesiredObject | null {
  if (relay.spec.queue.type !== 'Volume') return null;
  return service(relay, namesOf(relay).headless, {
    clusterIP: 'None',
    ipFamilyPolicy: 'PreferDualStack',
    publishNotReadyAddresses: true,
    selector: selectorLabels(relay),
    ports: [http],
  });
}

/** For a Prometheus that finds its targets by endpoints; a pod that is not ready has the most to tell. */
export function metricsService(relay: MailRelay): DesiredObject {
  return service(relay, namesOf(relay).metrics, {
    clusterIP: 'None',
    ipFamilyPolicy: 'PreferDualStack',
    publishNotReadyAddresses: true,
    selector: selectorLabels(relay),
    ports: [http],
  });
}

function service(relay: MailRelay, name: string, spec: unknown): DesiredObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: ownedMetadata(relay, name), spec };
}
