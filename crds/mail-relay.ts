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
import { delivery, limits, retry } from './flow.ts';
import type { Kind, KubernetesObject } from './kind.ts';
import { listeners } from './listener.ts';
import { cidrField, nameserver } from './network.ts';
import { podTemplate } from './pod-template.ts';
import { queue } from './queue.ts';
import { route } from './route.ts';
import { autoscaling, shutdown } from './scaling.ts';
import { defaulted, integer, list, object, oneOf, optional, string, type TypeOf, union } from './schema.ts';

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

const switchable = (description: string) => defaulted(oneOf(description, ['Enabled', 'Disabled']), 'Enabled');

const specFields = {
  reconciliation: defaulted(
    oneOf('Paused: nothing that belongs to this relay is changed, made or removed, whatever else this object says.', [
      'Active',
      'Paused',
    ]),
    'Active',
  ),
  replicas: defaulted(integer('Pods; 0 parks the relay after its queue has drained.', 0, 64), 2),
  autoscaling: optional(autoscaling),
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
  networkPolicy: switchable(
    'NetworkPolicy for the pods: everybody may reach the listeners, which ask who they are; HTTP (probes, metrics) is for the operator and for Prometheus.',
  ),
  disruption: defaulted(
    object('PodDisruptionBudget for the pods.', {
      maxUnavailable: defaulted(integer('Pods that may be evicted at a time, when nodes are drained.', 1, 64), 1),
    }),
    {},
  ),
  shutdown: defaulted(shutdown, {}),
  template: optional(podTemplate),
};

export const mailRelaySpec = object('What is asked for.', specFields, {
  rules: [
    {
      rule: "!has(self.autoscaling) || self.queue.type == 'Redis'",
      message: 'autoscaling must be left out where queue.type is Volume: a pod that goes would take its queue along',
      check: ({ autoscaling: scaling, queue: { type } }) => scaling === undefined || type === 'Redis',
    },
    {
      rule: '!has(self.autoscaling) || !has(self.template) || !has(self.template.resources) || (has(self.template.resources.requests) && has(self.template.resources.requests.cpu))',
      message: 'template.resources.requests.cpu must be given where autoscaling is: utilization is a part of it',
      check: ({ autoscaling: scaling, template }) =>
        scaling === undefined || template?.resources === undefined || template.resources.requests?.cpu !== undefined,
    },
  ],
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
