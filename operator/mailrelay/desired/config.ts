/** The configuration of a relay from what was asked for: a pure function, for pods and for standalone alike. */

import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { podPort } from '../../../crds/listener.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { Route } from '../../../crds/route.ts';
import { bytesOf } from '../../../crds/size.ts';
import type { RelayConfigInput } from '../../../relay/config.ts';
import type { LoadedKey } from '../../domainpolicy/dkim-key.ts';
import { chosenNamespaces, type Namespaces } from '../../namespaces.ts';

export interface ObservedRelay {
  readonly relay: MailRelay;
  /** Those attached to it. */
  readonly policies: readonly ObservedPolicy[];
  readonly namespaces: Namespaces;
  readonly files: SecretFiles;
  readonly bind: Bind;
}

export interface ObservedPolicy {
  readonly policy: DomainPolicy;
  /** Those that the relay loads. */
  readonly keys: readonly Pick<LoadedKey, 'selector' | 'algorithm' | 'signsFor'>[];
}

/** Where the relay finds what is secret. */
export interface SecretFiles {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly usersDir: string;
  dkimKeyFile(policy: DomainPolicy, selector: string): string;
  credentialsDir(namespace: string, secretName: string): string;
  caFile(namespace: string, secretName: string): string;
}

export interface Bind {
  readonly address: string;
  readonly httpAddress: string;
  readonly httpPort: number;
  /** Where whoever reaches the HTTP side may see captured mail, too. */
  readonly captured?: 'Everybody';
}

/** The revision is left to the caller, who also knows the content of the secrets. */
export function relayConfigOf(observed: ObservedRelay): Omit<RelayConfigInput, 'revision'> {
  const { relay, files, bind } = observed;
  const { namespace, name } = relay.metadata;
  const { hostname, clients, retry, limits, delivery, dns } = relay.spec;
  const { maxMessageSize, minFreeDisk, maxLineLengthBytes, ...otherLimits } = limits;
  return {
    namespace,
    name,
    hostname,
    listeners: relay.spec.listeners.map(listener => listenerOf(listener, bind.address)),
    http: {
      ...{ bindAddress: bind.httpAddress, bindPort: bind.httpPort },
      ...(bind.captured !== undefined && { captured: bind.captured }),
    },
    ...(offersTls(relay) && {
      tls: { certificateFile: files.certificateFile, privateKeyFile: files.privateKeyFile },
    }),
    clients: {
      ...(clients.usersSecretRef !== undefined && { usersDir: files.usersDir }),
      trustedNetworks: [...clients.trustedNetworks],
    },
    route: routeOf(relay.spec.route, namespace, files),
    ...queueOf(relay, files),
    policies: policyConfigsOf(observed),
    nameservers: [...dns.nameservers],
    retry,
    limits: {
      ...otherLimits,
      maxMessageSizeBytes: bytesOf(maxMessageSize),
      minFreeDiskBytes: bytesOf(minFreeDisk),
      maxLineBytes: maxLineLengthBytes,
    },
    delivery,
  };
}

/** In the order of their names. */
export function policyConfigsOf(observed: Pick<ObservedRelay, 'policies' | 'namespaces' | 'files'>): PolicyInput[] {
  return observed.policies.map(policy => policyOf(policy, observed)).sort(byName);
}

export function offersTls({ spec: { listeners } }: MailRelay): boolean {
  return listeners.some(({ protocol, tls }) => protocol === 'SMTPS' || tls !== 'Disabled');
}

function listenerOf(
  { name, port, bindPort, protocol, tls, proxyProtocol, ...same }: MailRelay['spec']['listeners'][number],
  bindAddress: string,
): RelayConfigInput['listeners'][number] {
  return {
    ...same,
    name,
    port,
    bindPort: podPort(bindPort === undefined ? { port } : { port, bindPort }),
    bindAddress,
    protocol,
    // A session of SMTPS has TLS before its first command.
    tls: protocol === 'SMTPS' ? 'Required' : tls,
    proxyProtocolFrom: [...(proxyProtocol?.from ?? [])],
  };
}

export type PolicyInput = NonNullable<RelayConfigInput['policies']>[number];

function policyOf(
  { policy, keys }: ObservedPolicy,
  { namespaces, files }: Pick<ObservedRelay, 'namespaces' | 'files'>,
): PolicyInput {
  const { metadata, spec } = policy;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    domains: [...spec.domains],
    senders: {
      namespaces: chosenNamespaces(spec.senders.namespaces, metadata.namespace, namespaces),
      serviceAccounts: [...spec.senders.serviceAccounts],
      users: [...spec.senders.users],
    },
    dkim: keys.map(({ selector, algorithm, signsFor }) => ({
      selector,
      algorithm,
      privateKeyFile: files.dkimKeyFile(policy, selector),
      ...(signsFor !== undefined && { signsFor: [...signsFor] }),
    })),
    tls: spec.tls.policy,
    ...(spec.route !== undefined && { route: routeOf(spec.route, metadata.namespace, files) }),
    ...(spec.bounces !== undefined && { bouncesTo: spec.bounces.to }),
  };
}

function routeOf({ type, smartHost }: Route, namespace: string, files: SecretFiles): RelayConfigInput['route'] {
  if (type !== 'SmartHost' || smartHost === undefined) return { type: type === 'Capture' ? 'Capture' : 'Direct' };
  const {
    host,
    port,
    protocol,
    tls = 'Verified',
    credentialsSecretRef,
    plaintextAuthentication,
    caSecretRef,
  } = smartHost;
  return {
    type,
    smartHost: {
      host,
      port,
      tls,
      implicitTls: protocol === 'SMTPS',
      ...(credentialsSecretRef !== undefined && {
        credentialsDir: files.credentialsDir(namespace, credentialsSecretRef.name),
      }),
      ...(plaintextAuthentication !== undefined && { plaintextAuthentication }),
      ...(caSecretRef !== undefined && { caFile: files.caFile(namespace, caSecretRef.name) }),
    },
  };
}

/** Volume is what a relay does where nothing is said. */
function queueOf({ metadata, spec }: MailRelay, files: SecretFiles): Pick<RelayConfigInput, 'queue'> {
  const { redis } = spec.queue;
  if (spec.queue.type !== 'Redis' || redis === undefined) return {};
  const { namespace, name } = metadata;
  const {
    type,
    addresses,
    durability,
    sentinel,
    tls = 'Verified',
    caSecretRef,
    keyPrefix,
    database,
    minReplicas,
  } = redis;
  const credentialsOf = (reference: { readonly name: string } | undefined): { credentialsDir?: string } =>
    reference === undefined ? {} : { credentialsDir: files.credentialsDir(namespace, reference.name) };
  return {
    queue: {
      type: 'Redis',
      redis: {
        type,
        addresses: addresses.map(hostAndPort),
        ...(sentinel !== undefined && {
          sentinel: { masterName: sentinel.masterName, ...credentialsOf(sentinel.credentialsSecretRef) },
        }),
        durability,
        ...(minReplicas !== undefined && { minReplicas }),
        ...credentialsOf(redis.credentialsSecretRef),
        tls,
        ...(caSecretRef !== undefined && { caFile: files.caFile(namespace, caSecretRef.name) }),
        ...(database !== undefined && { database }),
        keyPrefix: keyPrefix ?? `postroad:${namespace}:${name}:`,
      },
    },
  };
}

/** `host:port`, an IPv6 address in brackets. */
function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replaceAll(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) };
}

/** The order of what was observed is chance; the configuration must not be. */
function byName(one: PolicyInput, other: PolicyInput): number {
  const [left, right] = [`${one.namespace}/${one.name}`, `${other.namespace}/${other.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
