/** MailRelay: one SMTP service, its queue, its way out. */
import {
  conditions,
  dnsNameField,
  namespaces,
  objectName,
  observedGeneration,
  port,
  portName,
  secretRef,
  timeField,
} from './common.ts';
import type { Kind, KubernetesObject } from './kind.ts';
import { listeners } from './listener.ts';
import { cidrField, nameserver } from './network.ts';
import { queue } from './queue.ts';
import { route } from './route.ts';
import { defaulted, integer, list, object, oneOf, optional, quantity, string, type TypeOf, union } from './schema.ts';
import { quantityBetween } from './size.ts';

const day = 86_400;

const tls = union(
  'Where the certificate of the listeners comes from.',
  {
    type: oneOf(
      'SelfSigned: from an authority of its own, whose certificate is published for clients. CertManager: asked of an issuer of cert-manager. SecretRef: given.',
      ['SelfSigned', 'CertManager', 'SecretRef'],
    ),
    additionalDNSNames: optional(
      list('Names that clients use besides `hostname` and those of the Service.', dnsNameField('Name.'), {
        listType: 'set',
        maxItems: 32,
      }),
    ),
    certManager: optional(
      object('For type CertManager.', {
        issuerRef: object(
          'The issuer.',
          {
            name: objectName('Its name.'),
            kind: oneOf('Its kind; an Issuer must be in the namespace of the MailRelay.', ['Issuer', 'ClusterIssuer']),
          },
          { atomic: true },
        ),
      }),
    ),
    secretRef: optional(
      secretRef('For type SecretRef: a Secret with the keys `tls.crt` (chain, leaf first) and `tls.key`.'),
    ),
  },
  { discriminator: 'type', members: { CertManager: 'certManager', SecretRef: 'secretRef' } },
);

const clients = object('Who may send, beyond what DomainPolicies say about their domains.', {
  usersSecretRef: optional(
    secretRef(
      'Secret with the static users: each key is a user name, its value the password or an scrypt hash (`$scrypt$…`). They belong to the namespace of the MailRelay.',
    ),
  ),
  trustedNetworks: defaulted(
    list(
      'Networks whose hosts may send without AUTH, as the namespace of the MailRelay. An address proves little: list only what no tenant can use or forge.',
      cidrField('Network in CIDR notation.'),
      { listType: 'set', maxItems: 64 },
    ),
    [],
  ),
});

const retry = object(
  'When a deferred message is tried again, and when it is given up.',
  {
    initialDelaySeconds: defaulted(integer('Wait before the second attempt; it then doubles.', 1, day), 60),
    maxDelaySeconds: defaulted(integer('Longest wait between two attempts.', 1, 7 * day), 14_400),
    messageLifetimeSeconds: defaulted(
      integer('Age at which what is left is returned to its sender (RFC 5321 asks for at least 4 days).', 1, 60 * day),
      432_000,
    ),
    delayWarningSeconds: defaulted(
      integer('Age at which the sender is told of the delay; 0: never.', 0, 60 * day),
      14_400,
    ),
  },
  {
    rules: [
      {
        rule: 'self.initialDelaySeconds <= self.maxDelaySeconds',
        message: 'initialDelaySeconds must be at most maxDelaySeconds',
        check: self => self.initialDelaySeconds <= self.maxDelaySeconds,
      },
      {
        rule: 'self.delayWarningSeconds < self.messageLifetimeSeconds',
        message: 'delayWarningSeconds must be less than messageLifetimeSeconds',
        check: self => self.delayWarningSeconds < self.messageLifetimeSeconds,
      },
    ],
  },
);

const limits = object(
  'What one pod takes. Beyond: a temporary refusal (421 or 452), or 552 for a message that is too big.',
  {
    maxMessageSize: defaulted(
      quantity('Largest message, announced as SIZE and enforced.', [quantityBetween('1Ki', '1Gi')]),
      '25Mi',
    ),
    maxRecipients: defaulted(integer('Recipients of one message.', 1, 100_000), 1000),
    maxSessions: defaulted(integer('Sessions at a time.', 1, 100_000), 10_000),
    maxSessionsPerClient: defaulted(integer('Sessions at a time from one address.', 1, 100_000), 1000),
    maxCommandsPerSession: defaulted(integer('Commands of one session.', 10, 100_000_000), 1_000_000),
    maxErrorsPerSession: defaulted(integer('Refused commands, recipients and messages of one session.', 1, 10_000), 50),
    maxLineLengthBytes: defaulted(
      integer(
        'Longest line of a message without its CRLF. RFC 5322 says 998; real mail has longer ones.',
        998,
        16_777_216,
      ),
      1_000_000,
    ),
    idleTimeoutSeconds: defaulted(integer('Silence of a client (RFC 5321 asks for at least 300).', 1, 3600), 300),
    sessionTimeoutSeconds: defaulted(integer('Length of a session.', 1, day), 3600),
    minFreeDisk: defaulted(
      quantity('The queue takes no more when its disk has less room than this.', [quantityBetween('1Mi', '16Ti')]),
      '256Mi',
    ),
  },
);

const delivery = object('How mail leaves.', {
  maxConnections: defaulted(integer('Outgoing connections of one pod.', 1, 10_000), 200),
  maxConnectionsPerLane: defaulted(integer('Of these, to the same next hop.', 1, 1000), 20),
  maxMessagesPerConnection: defaulted(integer('Messages before a connection is closed.', 1, 100_000), 1000),
  connectTimeoutSeconds: defaulted(integer('Wait for a connection.', 1, 600), 30),
  commandTimeoutSeconds: defaulted(integer('Wait for each reply.', 1, 3600), 300),
  idleConnectionSeconds: defaulted(integer('How long an idle connection is kept.', 1, 300), 10),
  mxPort: defaulted(port('Port of MX hosts. Anything but 25 is for private networks and tests.'), 25),
});

const switchable = (description: string) => defaulted(oneOf(description, ['Enabled', 'Disabled']), 'Enabled');

export const mailRelaySpec = object('What is asked for.', {
  replicas: defaulted(integer('Pods; 0 parks the relay after its queue has drained.', 0, 64), 2),
  hostname: dnsNameField(
    'The name said in EHLO. For direct delivery it must resolve to the address mail leaves from, and back.',
  ),
  listeners,
  tls: defaulted(tls, { type: 'SelfSigned' }),
  policies: defaulted(
    object('Whose DomainPolicies may attach.', {
      namespaces: defaulted(namespaces('Namespaces of the DomainPolicies.'), {}),
    }),
    {},
  ),
  queue: defaulted(queue, { type: 'Volume', volume: { size: '10Gi' } }),
  route: defaulted(route('Where accepted mail goes, unless a DomainPolicy says otherwise.'), { type: 'Direct' }),
  clients: defaulted(clients, {}),
  dns: defaulted(
    object('Look-ups of the relay.', {
      nameservers: defaulted(
        list("Servers for MX, address and TXT look-ups. Empty: the pod's resolver.", nameserver('Address and port.'), {
          listType: 'atomic',
          maxItems: 8,
        }),
        [],
      ),
    }),
    {},
  ),
  retry: defaulted(retry, {}),
  limits: defaulted(limits, {}),
  delivery: defaulted(delivery, {}),
  monitoring: defaulted(
    object('Objects for the Prometheus operator, made where its kinds exist.', {
      podMonitor: switchable('PodMonitor for the pods.'),
      rules: switchable('PrometheusRule with the alerts.'),
    }),
    {},
  ),
});

const count = (description: string) => optional(integer(description, 0, 2 ** 31 - 1));

export const mailRelayStatus = object('What is.', {
  observedGeneration,
  replicas: count('Pods.'),
  readyReplicas: count('Pods that take mail.'),
  selector: optional(
    string('Label selector of the pods, for the scale subresource.', { minLength: 0, maxLength: 1024 }),
  ),
  address: optional(string('Host name for clients in the cluster.', { maxLength: 300 })),
  listeners: optional(
    list(
      'Where it listens.',
      object('One listener.', {
        name: portName('Its name.'),
        address: string('Host name or address for clients.', { maxLength: 300 }),
        port: port('Port for clients.'),
      }),
      { listType: 'map', keys: ['name'], maxItems: 16 },
    ),
  ),
  attachedPolicies: count('DomainPolicies in force.'),
  certificate: optional(
    object('The certificate that the listeners present.', {
      secretRef: optional(secretRef('Secret that holds it.')),
      notAfterTime: timeField('When it ends.'),
      renewalTime: optional(timeField('When the next one is made.')),
    }),
  ),
  configurationRevision: optional(
    string('Revision of the configuration that the pods should run.', { maxLength: 128 }),
  ),
  appliedRevision: optional(string('Revision that every ready pod runs.', { maxLength: 128 })),
  conditions,
});

export type MailRelaySpec = TypeOf<typeof mailRelaySpec>;
export type MailRelayStatus = TypeOf<typeof mailRelayStatus>;
export type MailRelay = KubernetesObject<'MailRelay', MailRelaySpec, MailRelayStatus>;

/** Names of the objects made for a relay add up to 23 characters, and a Service's name is a DNS label (63) that begins with a letter. */
const longestName = 40;

const readyColumn = {
  name: 'Ready',
  description: 'Whether it does what is asked for.',
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  type: 'string',
} as const;

export const mailRelayKind: Kind = {
  kind: 'MailRelay',
  plural: 'mailrelays',
  singular: 'mailrelay',
  shortName: 'mrelay',
  description: 'A MailRelay gives workloads an SMTP service: it takes mail, keeps it safe, signs it and delivers it.',
  labels: {},
  spec: mailRelaySpec,
  status: mailRelayStatus,
  rules: [
    {
      rule: `self.metadata.name.size() <= ${longestName} && self.metadata.name.matches('^[a-z][-a-z0-9]*$')`,
      message: `metadata.name must begin with a letter, hold only lower-case letters, digits and hyphens, and have at most ${longestName} characters`,
      check: ({ metadata: { name } }) => name.length <= longestName && /^[a-z][-a-z0-9]*$/.test(name),
    },
  ],
  columns: [
    readyColumn,
    { name: 'Address', description: 'Host name for clients.', jsonPath: '.status.address', type: 'string' },
    { name: 'Replicas', description: 'Pods that take mail.', jsonPath: '.status.readyReplicas', type: 'integer' },
    {
      name: 'Policies',
      description: 'DomainPolicies in force.',
      jsonPath: '.status.attachedPolicies',
      type: 'integer',
    },
    { name: 'Age', description: 'Time since it was made.', jsonPath: '.metadata.creationTimestamp', type: 'date' },
    { name: 'Queue', description: 'Where mail waits.', jsonPath: '.spec.queue.type', type: 'string', wide: true },
    { name: 'Route', description: 'Where mail goes.', jsonPath: '.spec.route.type', type: 'string', wide: true },
    {
      name: 'Certificate',
      description: 'End of the certificate.',
      jsonPath: '.status.certificate.notAfterTime',
      type: 'string',
      wide: true,
    },
    {
      name: 'Reason',
      description: 'Why it is ready or not.',
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      type: 'string',
      wide: true,
    },
  ],
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
};
