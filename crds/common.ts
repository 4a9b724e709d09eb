/** Fields that both kinds have. */
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
    // The API server bounds the whole name alone, not its labels.
    regex: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
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

const localPartRule: Rule<string> = {
  rule: "self.indexOf('@') <= 64",
  message: 'must have at most 64 characters before the @',
  check: self => self.indexOf('@') <= 64,
};

export function mailAddress(description: string): Schema<string> {
  return string(description, { maxLength: 254, pattern: patterns.address, rules: [localPartRule] });
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
      map('Labels that must all be there with these values.', string('Value.', { minLength: 0, maxLength: 63 }), {
        maxProperties: 32,
      }),
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

export function timeField(description: string): Schema<string> {
  return string(description, { maxLength: 64, format: 'date-time' });
}

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
      lastTransitionTime: timeField('When status last changed.'),
      reason: string('Why, as a documented constant.', { maxLength: 1024 }),
      message: string('Why, for people.', { minLength: 0, maxLength: 32_768 }),
    }),
    { listType: 'map', keys: ['type'], maxItems: 16 },
  ),
);
export type Condition = NonNullable<TypeOf<typeof conditions>>[number];
