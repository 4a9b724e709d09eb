/** Fields that both kinds have. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import {
  defaulted,
  integer,
  list,
  map,
  object,
  oneOf,
  optional,
  type Pattern,
  type Rule,
  type Schema,
  string,
  type TypeOf,
  union,
} from './schema.ts';

export const group = 'postroad.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

const dnsLabel = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
/** A last label that is a number would make it an address to half of the world's software (RFC 1123 s2.1). */
const dnsName = `(${dnsLabel}\\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?`;
const dotAtom = '[A-Za-z0-9_+=~-]+(\\.[A-Za-z0-9_+=~-]+)*';

const patterns = {
  objectName: {
    regex: `^${dnsLabel}(\\.${dnsLabel})*$`,
    means: 'the name of an object: lower-case letters, digits, hyphens and dots',
  },
  namespace: { regex: `^${dnsLabel}$`, means: 'the name of a namespace: lower-case letters, digits and hyphens' },
  portName: { regex: '^[a-z]([-a-z0-9]*[a-z0-9])?$', means: 'lower-case letters, digits and hyphens, a letter first' },
  dnsName: { regex: `^${dnsName}$`, means: 'a full domain name in lower case, such as mail.example.com' },
  host: { regex: `^(${dnsLabel}\\.)*${dnsLabel}$`, means: 'a host name in lower case, or an IPv4 address' },
  domain: {
    regex: `^(\\*\\.)?${dnsName}$`,
    means: 'a domain in lower case (A-labels for international names), such as example.com or *.example.com',
  },
  address: { regex: `^${dotAtom}@${dnsName}$`, means: 'a mail address such as postmaster@example.com' },
  userName: {
    regex: '^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$',
    means: 'a key of the Secret with the users: letters, digits, hyphens, underscores and dots, no dot first',
  },
  hostPort: {
    regex: '^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:.]+\\]):[1-9][0-9]{0,4}$',
    means: 'an address and a port, such as 192.0.2.53:53 or [2001:db8::53]:53',
  },
  nodeAddress: {
    regex: `^((${dnsLabel}\\.)*${dnsLabel}|\\[[0-9a-fA-F:.]+\\]):[1-9][0-9]{0,4}$`,
    means: 'a host and a port, such as redis.data:6379',
  },
} as const satisfies Record<string, Pattern>;

export const namePatterns = { objectName: patterns.objectName, namespace: patterns.namespace };

export function objectName(description: string): Schema<string> {
  return string(description, { maxLength: 253, pattern: patterns.objectName });
}

export function namespaceName(description: string): Schema<string> {
  return string(description, { maxLength: 63, pattern: patterns.namespace });
}

export function portName(description: string): Schema<string> {
  return string(description, { maxLength: 15, pattern: patterns.portName });
}

export function dnsNameField(description: string): Schema<string> {
  return string(description, { maxLength: 253, pattern: patterns.dnsName });
}

export function hostName(description: string): Schema<string> {
  return string(description, { maxLength: 253, pattern: patterns.host });
}

export function domainField(description: string): Schema<string> {
  return string(description, { maxLength: 253, pattern: patterns.domain });
}

export function userName(description: string): Schema<string> {
  return string(description, { maxLength: 253, pattern: patterns.userName });
}

export function nodeAddress(description: string): Schema<string> {
  return string(description, { maxLength: 260, pattern: patterns.nodeAddress });
}

export function port(description: string): Schema<number> {
  return integer(description, 1, 65_535);
}

export function mailAddress(description: string): Schema<string> {
  const rule: Rule<string> = {
    rule: "self.indexOf('@') <= 64",
    message: 'must have at most 64 characters before the @',
    check: self => self.indexOf('@') <= 64,
  };
  return string(description, { maxLength: 254, pattern: patterns.address, rules: [rule] });
}

/** Wide enough for any private network, too narrow to mean "everybody". */
const shortestPrefix = 8;

const cidrRules: readonly Rule<string>[] = [
  {
    rule: `isCIDR(self) && cidr(self).prefixLength() >= ${shortestPrefix}`,
    message: `must be a network such as 192.0.2.0/24 or 2001:db8::/32, its prefix length ${shortestPrefix} or more`,
    check: self => (prefixLengthOf(self) ?? 0) >= shortestPrefix,
  },
];

export function cidrField(description: string): Schema<string> {
  return string(description, { maxLength: 50, rules: cidrRules });
}

/** `undefined` when it is no network. IPv4 in an IPv6 coat is refused, as the API server does: it would match no client. */
export function prefixLengthOf(cidr: string): number | undefined {
  const parts = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(cidr);
  const [, address = '', digits = ''] = parts ?? [];
  const length = Number(digits);
  if (isIPv4(address)) return length <= 32 ? length : undefined;
  return isPlainIPv6(address) && length <= 128 ? length : undefined;
}

function isPlainIPv6(address: string): boolean {
  return isIPv6(address) && !address.includes('%') && !mappedIPv4.check(address, 'ipv6');
}

const mappedIPv4 = new BlockList();
mappedIPv4.addSubnet('::ffff:0:0', 96, 'ipv6');

const nameserverRules: readonly Rule<string>[] = [
  {
    rule: "isIP(self.substring(0, self.lastIndexOf(':')).replace('[', '').replace(']', '')) && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",
    message: 'must be an IP address and a port of 65535 or less, such as 192.0.2.53:53',
    check(self) {
      const colon = self.lastIndexOf(':');
      const address = self.slice(0, colon).replace('[', '').replace(']', '');
      return (isIPv4(address) || isPlainIPv6(address)) && Number(self.slice(colon + 1)) <= 65_535;
    },
  },
];

export function nameserver(description: string): Schema<string> {
  return string(description, { maxLength: 60, pattern: patterns.hostPort, rules: nameserverRules });
}

export function secretRef(description: string): Schema<{ readonly name: string }> {
  return object(
    description,
    { name: objectName("The Secret's name, in the object's own namespace.") },
    { atomic: true },
  );
}

const labelSelector = object(
  'Labels of the namespaces that are meant. An empty selector means all of them.',
  {
    matchLabels: optional(
      map('Labels that must all be there with these values.', string('Value.', { minLength: 0, maxLength: 63 }), 32),
    ),
    matchExpressions: optional(
      list(
        'Requirements that must all hold.',
        object('One requirement.', {
          key: string('Label.', { maxLength: 317 }),
          operator: oneOf('How the label is compared.', ['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: optional(
            list('For In and NotIn.', string('Value.', { minLength: 0, maxLength: 63 }), {
              listType: 'atomic',
              maxItems: 32,
            }),
          ),
        }),
        { listType: 'atomic', maxItems: 16 },
      ),
    ),
  },
  { atomic: true },
);
export type LabelSelector = TypeOf<typeof labelSelector>;

export function namespaces(description: string) {
  return union(
    description,
    {
      from: defaulted(
        oneOf('Same: the own namespace. All: every namespace. Selector: those whose labels match.', [
          'Same',
          'All',
          'Selector',
        ]),
        'Same',
      ),
      selector: optional(labelSelector),
    },
    { discriminator: 'from', members: { Selector: 'selector' } },
  );
}
export type NamespaceChoice = TypeOf<ReturnType<typeof namespaces>>;

const smartHostRules = [
  {
    rule: "!has(self.credentialsSecretRef) || !has(self.tls) || self.tls in ['Required', 'Verified'] || (has(self.plaintextAuthentication) && self.plaintextAuthentication == 'Allowed')",
    message: 'tls must be Required or Verified where credentialsSecretRef is given, or plaintextAuthentication Allowed',
    check: (self: SmartHostFields) =>
      self.credentialsSecretRef === undefined ||
      self.tls === undefined ||
      ['Required', 'Verified'].includes(self.tls) ||
      self.plaintextAuthentication === 'Allowed',
  },
  {
    rule: "!has(self.protocol) || self.protocol != 'SMTPS' || !has(self.tls) || self.tls in ['Required', 'Verified']",
    message: 'tls must be Required or Verified where protocol is SMTPS',
    check: (self: SmartHostFields) =>
      self.protocol !== 'SMTPS' || self.tls === undefined || ['Required', 'Verified'].includes(self.tls),
  },
];

interface SmartHostFields {
  readonly protocol?: 'SMTP' | 'SMTPS';
  readonly tls?: 'Disabled' | 'Opportunistic' | 'Required' | 'Verified';
  readonly plaintextAuthentication?: 'Refused' | 'Allowed';
  readonly credentialsSecretRef?: unknown;
}

const smartHost = object(
  'The server that takes all mail.',
  {
    host: hostName('Its name. Its address is looked up directly, without MX records.'),
    port: port('Its port: commonly 587 with protocol SMTP, 465 with SMTPS.'),
    protocol: optional(
      oneOf(
        'SMTP begins in plain text and may turn to TLS by STARTTLS; SMTPS is TLS from the first byte. Left out: SMTP.',
        ['SMTP', 'SMTPS'],
      ),
    ),
    tls: optional(
      oneOf(
        'Disabled: never. Opportunistic: where offered, any certificate. Required: TLS or no delivery, any certificate. Verified: and the certificate must be valid for `host`. Left out: Verified.',
        ['Disabled', 'Opportunistic', 'Required', 'Verified'],
      ),
    ),
    caSecretRef: optional(
      secretRef(
        "Secret whose key `ca.crt` holds the authorities to trust for Verified, in PEM. Left out: the system's.",
      ),
    ),
    credentialsSecretRef: optional(secretRef('Secret with the keys `username` and `password`. Left out: no AUTH.')),
    plaintextAuthentication: optional(
      oneOf('Allowed lets the password travel without TLS, where tls permits such a connection. Left out: Refused.', [
        'Refused',
        'Allowed',
      ]),
    ),
  },
  { rules: smartHostRules },
);
export type SmartHost = TypeOf<typeof smartHost>;

export function route(description: string) {
  return union(
    description,
    {
      type: oneOf(
        "Direct: to the MX hosts of each recipient's domain. SmartHost: all to one server. Capture: kept and shown, never delivered.",
        ['Direct', 'SmartHost', 'Capture'],
      ),
      smartHost: optional(smartHost),
    },
    { discriminator: 'type', members: { SmartHost: 'smartHost' } },
  );
}
export type Route = TypeOf<ReturnType<typeof route>>;

const time = (description: string) => string(description, { maxLength: 64, format: 'date-time' });

export { time as timeField };

export const observedGeneration = optional(
  integer('Generation of the spec that this status describes.', 0, Number.MAX_SAFE_INTEGER),
);

export const conditions = optional(
  list(
    'What holds now, by type.',
    object('One condition.', {
      type: string('Its type.', { maxLength: 316 }),
      status: oneOf('Whether it holds.', ['True', 'False', 'Unknown']),
      observedGeneration: optional(integer('Generation of the spec it was judged by.', 0, Number.MAX_SAFE_INTEGER)),
      lastTransitionTime: time('When status last changed.'),
      reason: string('Why, as a documented constant.', { maxLength: 1024 }),
      message: string('Why, for people.', { minLength: 0, maxLength: 32_768 }),
    }),
    { listType: 'map', keys: ['type'], maxItems: 16 },
  ),
);
export type Condition = NonNullable<TypeOf<typeof conditions>>[number];

const multipliers: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Bytes of a quantity that the schema accepts. */
export function bytesOf(value: number | string): number {
  const [, digits = '', suffix = ''] = /^([0-9]+)([A-Za-z]*)$/.exec(String(value)) ?? [];
  return Number(digits) * (multipliers[suffix] ?? Number.NaN);
}

/** Both bounds are quantities, inclusive. */
export function quantityBetween(least: string, most: string): Rule<number | string> {
  const value = 'quantity(string(self))';
  return {
    rule: `${value}.compareTo(quantity('${least}')) >= 0 && ${value}.compareTo(quantity('${most}')) <= 0`,
    message: `must be a size of ${least} to ${most}`,
    check: self => bytesOf(self) >= bytesOf(least) && bytesOf(self) <= bytesOf(most),
  };
}
