/** Names of the objects of a relay, whose own name has at most 40 characters: the longest below has 58, and a DNS label 63. */
import type { MailRelay } from '../../../crds/mail-relay.ts';

export interface ObjectNames {
  /** What clients connect to: the relay's own name, so that `outbound.mail:587` is all an application is told. */
  readonly service: string;
  /** The workload, and whatever there is one of beside it. */
  readonly relay: string;
  readonly headless: string;
  readonly metrics: string;
  readonly config: string;
  /** Authorities for clients to trust. */
  readonly authorities: string;
  /** What is made by chance and never mounted: authority, certificate, key of the revisions. */
  readonly keys: string;
  /** Where cert-manager puts what it issues. */
  readonly issued: string;
  files(shard: number): string;
  /** The volume of a pod, as a StatefulSet names it. */
  claim(ordinal: number): string;
}

export const queueVolume = 'queue';

export function namesOf({ metadata: { name } }: MailRelay): ObjectNames {
  const relay = `${name}-relay`;
  return {
    service: name,
    relay,
    headless: `${name}-headless`,
    metrics: `${name}-metrics`,
    config: `${relay}-config`,
    authorities: `${name}-ca`,
    keys: `${relay}-keys`,
    issued: `${relay}-issued`,
    files: shard => `${relay}-files-${shard}`,
    claim: ordinal => `${queueVolume}-${relay}-${ordinal}`,
  };
}

/** The names by which pods of the cluster know the relay, besides those that its owner gives it. */
export function serviceNames(relay: MailRelay, clusterDomain: string): string[] {
  const { service } = namesOf(relay);
  const { namespace } = relay.metadata;
  return [service, `${service}.${namespace}`, serviceAddress(relay), `${serviceAddress(relay)}.${clusterDomain}`];
}

export function serviceAddress(relay: MailRelay): string {
  return `${namesOf(relay).service}.${relay.metadata.namespace}.svc`;
}

/** Everything that the certificate of the listeners must be good for. */
export function certificateNames(relay: MailRelay, clusterDomain: string): string[] {
  const { hostname, tls } = relay.spec;
  return [...new Set([hostname, ...serviceNames(relay, clusterDomain), ...(tls.additionalDNSNames ?? [])])];
}
