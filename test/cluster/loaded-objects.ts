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
  /** What the relay refers to besides. */
  readonly objects?: readonly object[];
  readonly chart?: Readonly<Record<string, string>>;
  /** Of the recipients. */
  readonly domains?: readonly string[];
  /** Messages a second; left out: 250. */
  readonly rate?: number;
  /** Left out: port 25 without TLS, from a trusted network. Else a user logs in over TLS, and no network is trusted. */
  readonly port?: SecurePort;
}

/** STARTTLS, and TLS from the first byte on (RFC 8314). */
export type SecurePort = 587 | 465;

export const user = { name: 'reports', password: 'Gulls-over-9-harbours' };

const apiVersion = 'postroad.dev/v1alpha1';

export function loadedObjects({ replicas = 2, spec = {}, policy = {}, objects = [], port }: RelayWishes): object {
  const metadata = { name: 'outbound', namespace };
  const items = [
    ...objects,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'users', namespace },
      stringData: { [user.name]: user.password },
    },
    {
      ...{ apiVersion, kind: 'MailRelay', metadata },
      spec: {
        replicas,
        hostname: 'mail.example.com',
        listeners: [
          { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
          { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
          { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
        ],
        // The journey is on the node.
        clients: {
          usersSecretRef: { name: 'users' },
          ...(port === undefined && { trustedNetworks: [`${nodeAddress}/32`] }),
        },
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
