/** The relay under load and its policy, as a journey wishes them. */
import { nodeAddress } from './node/layout.ts';

export const namespace = 'mail';
export const sinkAddress = '203.0.113.25';

export interface RelayWishes {
  readonly replicas?: number;
  /** Of the MailRelay's spec, beside what all of these journeys ask for. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Of the DomainPolicy's. */
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly chart?: Readonly<Record<string, string>>;
  /** Of the recipients. */
  readonly domains?: readonly string[];
  /** Messages a second; left out: 250. */
  readonly rate?: number;
}

const apiVersion = 'postroad.dev/v1alpha1';

export function loadedObjects({ replicas = 2, spec = {}, policy = {} }: RelayWishes): object {
  const metadata = { name: 'outbound', namespace };
  const items = [
    {
      ...{ apiVersion, kind: 'MailRelay', metadata },
      spec: {
        replicas,
        hostname: 'mail.example.com',
        listeners: [
          { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
          { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Optional' },
        ],
        // The journey is on the node.
        clients: { trustedNetworks: [`${nodeAddress}/32`] },
        queue: { type: 'Volume', volume: { size: '1Gi' } },
        route: { type: 'SmartHost', smartHost: { host: sinkAddress, port: 25, tls: 'Disabled' } },
        retry: { initialDelaySeconds: 1, maxDelaySeconds: 5 },
        ...spec,
      },
    },
    {
      ...{ apiVersion, kind: 'DomainPolicy', metadata: { name: 'example', namespace } },
      spec: {
        relayRef: { name: 'outbound' },
        domains: ['example.com'],
        dkim: { type: 'Disabled' },
        ...policy,
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}
