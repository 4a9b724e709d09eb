/** DomainPolicy: who may send as a domain, how its mail is signed, and which DNS records it needs. */
import {
  conditions,
  domainField,
  mailAddress,
  namespaceName,
  namespaces,
  objectName,
  observedGeneration,
  secretRef,
  timeField,
  userName,
} from './common.ts';
import { dns } from './dns.ts';
import type { Kind, KubernetesObject } from './kind.ts';
import { route } from './route.ts';
import { defaulted, integer, list, object, oneOf, optional, string, type TypeOf, union } from './schema.ts';

/** What holds where `dkim.managed` leaves a field out: union members have no defaults of their own in the schema. */
export const managedDkimDefaults = {
  algorithms: ['RSA2048', 'Ed25519'],
  rotationPeriodDays: 90,
  overlapDays: 7,
} as const;

const algorithm = (description: string) => oneOf(description, ['RSA2048', 'Ed25519']);

const managedDkim = object(
  'For type Managed.',
  {
    algorithms: optional(
      list('One key and one signature each. Left out: both.', algorithm('Algorithm.'), {
        listType: 'set',
        minItems: 1,
        maxItems: 2,
      }),
    ),
    rotationPeriodDays: optional(integer('Age at which a key is replaced; 0: never. Left out: 90.', 0, 3650)),
    overlapDays: optional(
      integer(
        'How long a new key waits for its record where DNS checks are off, and how long the record of an old one is asked for. Left out: 7.',
        1,
        365,
      ),
    ),
  },
  {
    rules: [
      {
        rule: `(has(self.rotationPeriodDays) && self.rotationPeriodDays == 0) || (has(self.overlapDays) ? self.overlapDays : ${managedDkimDefaults.overlapDays}) < (has(self.rotationPeriodDays) ? self.rotationPeriodDays : ${managedDkimDefaults.rotationPeriodDays})`,
        message: `overlapDays (${managedDkimDefaults.overlapDays} where left out) must be less than rotationPeriodDays (${managedDkimDefaults.rotationPeriodDays} where left out)`,
        check({ rotationPeriodDays, overlapDays }) {
          const { rotationPeriodDays: period, overlapDays: overlap } = managedDkimDefaults;
          return rotationPeriodDays === 0 || (overlapDays ?? overlap) < (rotationPeriodDays ?? period);
        },
      },
    ],
  },
);

const dkim = union(
  'How its mail is signed.',
  {
    type: oneOf(
      'Managed: keys are made, published and replaced for you. SecretRef: with given keys. Disabled: not signed, for mail that a smart host signs.',
      ['Managed', 'SecretRef', 'Disabled'],
    ),
    managed: optional(managedDkim),
    secretRef: optional(
      secretRef(
        'For type SecretRef: a Secret with at most 8 keys; each key is a selector, its value the private key (RSA of 2048 to 4096 bits, or Ed25519) in PEM.',
      ),
    ),
  },
  { discriminator: 'type', members: { Managed: 'managed', SecretRef: 'secretRef' } },
);

export const domainPolicySpec = object('What is asked for.', {
  relayRef: object(
    'The MailRelay that takes the mail. It must let policies of this namespace attach.',
    {
      name: objectName('Its name.'),
      namespace: optional(namespaceName('Its namespace. Left out: the own one.')),
    },
    { atomic: true },
  ),
  domains: list(
    'Domains that mail is sent as. `example.com` is that domain alone; `*.example.com` is every domain below it.',
    domainField('Domain.'),
    { listType: 'set', minItems: 1, maxItems: 64 },
  ),
  senders: defaulted(
    object('Who may send as these domains.', {
      namespaces: defaulted(
        namespaces(
          'Namespaces of the senders. Static users and trusted networks belong to the namespace of the MailRelay.',
        ),
        {},
      ),
      serviceAccounts: defaulted(
        list('Where not empty: of service accounts only these.', objectName('Name.'), {
          listType: 'set',
          maxItems: 256,
        }),
        [],
      ),
      users: defaulted(
        list('Where not empty: of static users only these.', userName('Name.'), { listType: 'set', maxItems: 256 }),
        [],
      ),
    }),
    {},
  ),
  dkim: defaulted(dkim, { type: 'Managed', managed: {} }),
  dns: defaulted(dns, {}),
  tls: defaulted(
    object('TLS towards the MX hosts of the recipients, and of those who get reports about this mail.', {
      policy: defaulted(
        oneOf(
          'Opportunistic: where offered. Required: TLS or no delivery, any certificate. Verified: and the certificate must be valid for the host.',
          ['Opportunistic', 'Required', 'Verified'],
        ),
        'Opportunistic',
      ),
    }),
    {},
  ),
  route: optional(route("Where its mail goes, instead of the relay's route.")),
  bounces: optional(
    object('Mail that could not be delivered.', {
      to: mailAddress(
        'Where it is returned to, instead of the sender. A report is sent with the TLS that `spec.tls` demands.',
      ),
    }),
  ),
});

const dnsRecord = object('One record.', {
  name: string('Owner name, without a final dot.', { maxLength: 320 }),
  type: oneOf('Record type.', ['TXT', 'CNAME']),
  purpose: oneOf('What it is for.', ['DKIM', 'SPF', 'DMARC', 'TLSRPT', 'MTASTS']),
  value: string('What it should say, as one string.', { maxLength: 8192 }),
  state: oneOf('Published: it is there. Missing: it is not. Mismatch: something else is. Unknown: not looked up.', [
    'Published',
    'Missing',
    'Mismatch',
    'Unknown',
  ]),
  observed: optional(string('What is there instead.', { minLength: 0, maxLength: 8192 })),
});
export type DnsRecordStatus = TypeOf<typeof dnsRecord>;

const dkimKey = object('One key.', {
  selector: string('Its selector.', { maxLength: 63 }),
  algorithm: algorithm('Its algorithm.'),
  state: oneOf(
    'Pending: its record is awaited. Published: seen at one of its domains or more, and the pods are loading it. Active: it signs. Retiring: it no longer signs, and its record is still needed.',
    ['Pending', 'Published', 'Active', 'Retiring'],
  ),
  signsFor: optional(
    list('Active: the domains whose mail it signs; `*.example.com` counts as example.com.', domainField('Domain.'), {
      listType: 'atomic',
      maxItems: 64,
    }),
  ),
  createdTime: optional(timeField('When it was made.')),
});
export type DkimKeyStatus = TypeOf<typeof dkimKey>;

export const domainPolicyStatus = object('What is.', {
  observedGeneration,
  dkim: optional(
    object('Its keys.', {
      keys: list('By selector.', dkimKey, { listType: 'map', keys: ['selector'], maxItems: 16 }),
    }),
  ),
  dnsRecords: optional(list('Records that its domains need.', dnsRecord, { listType: 'atomic', maxItems: 1280 })),
  conditions,
});

export type DomainPolicySpec = TypeOf<typeof domainPolicySpec>;
export type DomainPolicyStatus = TypeOf<typeof domainPolicyStatus>;
export type DomainPolicy = KubernetesObject<'DomainPolicy', DomainPolicySpec, DomainPolicyStatus>;

/** It becomes the value of a label, and part of the file names of its keys. */
const longestName = 63;

const condition = (type: string, field: string): string => `.status.conditions[?(@.type=="${type}")].${field}`;

export const domainPolicyKind: Kind = {
  kind: 'DomainPolicy',
  plural: 'domainpolicies',
  singular: 'domainpolicy',
  shortName: 'dpol',
  description:
    'A DomainPolicy says who may send as some domains through a MailRelay, signs their mail, and tells which DNS records are missing.',
  labels: {},
  spec: domainPolicySpec,
  status: domainPolicyStatus,
  rules: [
    {
      rule: `self.metadata.name.size() <= ${longestName}`,
      message: `metadata.name must have at most ${longestName} characters`,
      check: ({ metadata: { name } }) => name.length <= longestName,
    },
  ],
  columns: [
    { name: 'Relay', description: 'Its MailRelay.', jsonPath: '.spec.relayRef.name', type: 'string' },
    {
      name: 'Accepted',
      description: 'Whether the relay takes it.',
      jsonPath: condition('Accepted', 'status'),
      type: 'string',
    },
    {
      name: 'DKIM',
      description: 'Whether mail is signed.',
      jsonPath: condition('DKIMReady', 'status'),
      type: 'string',
    },
    {
      name: 'DNS',
      description: 'Whether its records are published.',
      jsonPath: condition('DNSPublished', 'status'),
      type: 'string',
    },
    { name: 'Ready', description: 'All of it.', jsonPath: condition('Ready', 'status'), type: 'string' },
    { name: 'Age', description: 'Time since it was made.', jsonPath: '.metadata.creationTimestamp', type: 'date' },
    { name: 'Domains', description: 'Its domains.', jsonPath: '.spec.domains', type: 'string', wide: true },
    {
      name: 'Reason',
      description: 'Why it is ready or not.',
      jsonPath: condition('Ready', 'reason'),
      type: 'string',
      wide: true,
    },
  ],
};
