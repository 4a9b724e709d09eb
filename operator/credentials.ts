/** The Secrets that objects refer to: which, and what they must hold. Content is looked at here and never repeated in a message. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { DomainPolicy } from '../crds/domain-policy.ts';
import type { MailRelay } from '../crds/mail-relay.ts';
import type { Route } from '../crds/route.ts';
import type { Reason } from './conditions.ts';
import { dkimKeyOf } from './domainpolicy/dkim-key.ts';

export type SecretData = ReadonlyMap<string, Buffer>;

export type SecretUse = 'users' | 'certificate' | 'credentials' | 'redis' | 'authorities' | 'dkim';

export interface SecretNeed {
  readonly use: SecretUse;
  readonly namespace: string;
  readonly name: string;
  /** Path of the reference in its object. */
  readonly path: string;
}

export interface SecretProblem {
  readonly reason: Extract<Reason, 'SecretNotFound' | 'SecretNotReadable' | 'SecretInvalid'>;
  readonly message: string;
}

export function relayNeeds({ metadata: { namespace }, spec }: MailRelay): SecretNeed[] {
  const { usersSecretRef } = spec.clients;
  const { secretRef } = spec.tls;
  return [
    ...(usersSecretRef === undefined
      ? []
      : [need('users', namespace, usersSecretRef.name, 'spec.clients.usersSecretRef')]),
    ...(secretRef === undefined ? [] : [need('certificate', namespace, secretRef.name, 'spec.tls.secretRef')]),
    ...routeNeeds(spec.route, namespace),
    ...redisNeeds(spec.queue, namespace),
  ];
}

export function policyNeeds({ metadata: { namespace }, spec }: DomainPolicy): SecretNeed[] {
  const { secretRef } = spec.dkim;
  return [
    ...(secretRef === undefined ? [] : [need('dkim', namespace, secretRef.name, 'spec.dkim.secretRef')]),
    ...(spec.route === undefined ? [] : routeNeeds(spec.route, namespace)),
  ];
}

function routeNeeds({ smartHost }: Route, namespace: string): SecretNeed[] {
  const { credentialsSecretRef, caSecretRef } = smartHost ?? {};
  const path = 'spec.route.smartHost';
  return [
    ...(credentialsSecretRef === undefined
      ? []
      : [need('credentials', namespace, credentialsSecretRef.name, `${path}.credentialsSecretRef`)]),
    ...(caSecretRef === undefined ? [] : [need('authorities', namespace, caSecretRef.name, `${path}.caSecretRef`)]),
  ];
}

function redisNeeds({ redis }: MailRelay['spec']['queue'], namespace: string): SecretNeed[] {
  const path = 'spec.queue.redis';
  const references = [
    ['redis', redis?.credentialsSecretRef, `${path}.credentialsSecretRef`],
    ['redis', redis?.sentinel?.credentialsSecretRef, `${path}.sentinel.credentialsSecretRef`],
    ['authorities', redis?.caSecretRef, `${path}.caSecretRef`],
  ] as const;
  return references.flatMap(([use, reference, where]) =>
    reference === undefined ? [] : [need(use, namespace, reference.name, where)],
  );
}

function need(use: SecretUse, namespace: string, name: string, path: string): SecretNeed {
  return { use, namespace, name, path };
}

/** `undefined` where the Secret is as it should be. */
export function secretProblem(
  needed: SecretNeed,
  data: SecretData | 'Missing' | 'Forbidden' | undefined,
): SecretProblem | undefined {
  const where = `${needed.path}: Secret ${needed.namespace}/${needed.name}`;
  if (data === 'Forbidden')
    return { reason: 'SecretNotReadable', message: `${where} is where this operator may not read Secrets` };
  if (data === undefined || data === 'Missing') return { reason: 'SecretNotFound', message: `${where} is not there` };
  const fault = checks[needed.use](data);
  return fault === undefined ? undefined : { reason: 'SecretInvalid', message: `${where} ${fault}` };
}

const checks: Readonly<Record<SecretUse, (data: SecretData) => string | undefined>> = {
  users: checkUsers,
  certificate: checkCertificate,
  credentials: data => missingKeys(data, ['username', 'password']),
  /** A server without users knows no user name. */
  redis: data => missingKeys(data, ['password']),
  authorities: checkAuthorities,
  dkim: checkDkim,
};

function missingKeys(data: SecretData, keys: readonly string[]): string | undefined {
  const missing = keys.filter(key => (data.get(key)?.length ?? 0) === 0);
  return missing.length === 0
    ? undefined
    : `must hold the keys ${keys.join(' and ')}: ${missing.join(' and ')} missing`;
}

function checkUsers(data: SecretData): string | undefined {
  for (const [user, password] of data) {
    if (user.startsWith('.')) return `must hold user names that do not begin with a dot, unlike ${user}`;
    if (password.length === 0) return `must hold a password or hash for ${user}`;
  }
  return undefined;
}

function checkCertificate(data: SecretData): string | undefined {
  const missing = missingKeys(data, ['tls.crt', 'tls.key']);
  if (missing !== undefined) return missing;
  try {
    const certificate = new X509Certificate(data.get('tls.crt') ?? '');
    const fits = certificate.checkPrivateKey(createPrivateKey(data.get('tls.key') ?? ''));
    return fits ? undefined : 'must hold a tls.key that belongs to the first certificate of tls.crt';
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return 'must hold a certificate in tls.crt and its private key in tls.key, both in PEM';
  }
}

function checkAuthorities(data: SecretData): string | undefined {
  const missing = missingKeys(data, ['ca.crt']);
  if (missing !== undefined) return missing;
  try {
    return new X509Certificate(data.get('ca.crt') ?? '').ca ? undefined : 'must hold authorities in ca.crt';
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return 'must hold certificates in PEM in ca.crt';
  }
}

/** A selector is one or more labels of a DNS name (RFC 6376 s3.1). */
const selectorPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const mostKeys = 8;

function checkDkim(data: SecretData): string | undefined {
  if (data.size === 0 || data.size > mostKeys) return `must hold 1 to ${mostKeys} keys, each named by its selector`;
  for (const [selector, pem] of data) {
    if (selector.length > 63 || !selectorPattern.test(selector))
      return `must name its keys by selectors (lower-case letters, digits, hyphens and dots, at most 63), unlike ${selector}`;
    try {
      dkimKeyOf(pem, selector);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return `under ${selector} ${error.message}`;
    }
  }
  return undefined;
}
