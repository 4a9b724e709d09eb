/**
 * Objects and the verdict on them: the same from the schema's check in code and from a real API server.
 * Every CEL rule stands here at least once kept and once broken.
 * One table, which is read by its rows: a row is found by its field, not by the file that it might stand in.
 */

export interface ObjectCase {
  /** A sentence after "accepts" or "refuses". */
  readonly name: string;
  readonly object: unknown;
  /** The object before the change; it is valid itself. */
  readonly previous?: unknown;
}

export interface RefusedCase extends ObjectCase {
  /** All faults, each as `path: a part of the message`. Messages of the structural schema are ours, those of rules are the API server's too. */
  readonly faults: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const smtp = { name: 'smtp', port: 25 };
const apiVersion = 'postroad.dev/v1alpha1';

export function mailRelay(spec: Fields = {}, metadata: Fields = {}): unknown {
  return {
    apiVersion,
    kind: 'MailRelay',
    metadata: { name: 'outbound', namespace: 'mail', ...metadata },
    spec: { hostname: 'mail.example.com', listeners: [smtp], ...spec },
  };
}

export function domainPolicy(spec: Fields = {}, metadata: Fields = {}): unknown {
  return {
    apiVersion,
    kind: 'DomainPolicy',
    metadata: { name: 'shop', namespace: 'shop', ...metadata },
    spec: { relayRef: { name: 'outbound', namespace: 'mail' }, domains: ['shop.example.com'], ...spec },
  };
}

const smartHost = { host: 'smtp.example.net', port: 587 };
const credentials = { credentialsSecretRef: { name: 'provider' } };
const withSmartHost = (fields: Fields): unknown =>
  mailRelay({ route: { type: 'SmartHost', smartHost: { ...smartHost, ...fields } } });
const policyWithSmartHost = (fields: Fields): unknown =>
  domainPolicy({ route: { type: 'SmartHost', smartHost: { ...smartHost, ...fields } } });
const redis = { type: 'Single', addresses: ['redis.data:6379'], durability: 'Fsync' };
const withRedis = (fields: Fields): unknown => mailRelay({ queue: { type: 'Redis', redis: { ...redis, ...fields } } });
const withVolume = (fields: Fields): unknown =>
  mailRelay({ queue: { type: 'Volume', volume: { size: '10Gi', ...fields } } });
const withListeners = (...listeners: readonly Fields[]): unknown => mailRelay({ listeners });
const withDkim = (managed: Fields): unknown => domainPolicy({ dkim: { type: 'Managed', managed } });
const autoscaling = { minReplicas: 2, maxReplicas: 8 };
const onRedis = { queue: { type: 'Redis', redis } };
const withTemplate = (template: Fields): unknown => mailRelay({ template });
const withToleration = (toleration: Fields): unknown => withTemplate({ tolerations: [toleration] });
const labelled = { matchLabels: { team: 'shop' } };

export const acceptedObjects: readonly ObjectCase[] = [
  { name: 'a MailRelay with the least', object: mailRelay() },
  { name: 'a DomainPolicy with the least', object: domainPolicy() },
  {
    name: 'a MailRelay with everything of the quickstart kind',
    object: mailRelay({
      replicas: 0,
      listeners: [
        { ...smtp, tls: 'Optional', authentication: 'Optional', lineEndings: 'Fix' },
        { name: 'submission', port: 587, tls: 'Required', authentication: 'Required' },
        { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
        { name: 'odd', port: 2025, bindPort: 3025, proxyProtocol: { from: ['10.0.0.0/8', '2001:db8::/32'] } },
      ],
      tls: { type: 'SelfSigned', additionalDNSNames: ['smtp.example.com'] },
      policies: { namespaces: { from: 'All' } },
      route: { type: 'Capture' },
      clients: { usersSecretRef: { name: 'smtp-users' }, trustedNetworks: ['127.0.0.0/8', '::1/128'] },
      dns: { nameservers: ['192.0.2.53:53', '[2001:db8::53]:5353'] },
      retry: { initialDelaySeconds: 1, maxDelaySeconds: 1, messageLifetimeSeconds: 2, delayWarningSeconds: 1 },
      limits: { maxMessageSize: 1_048_576, maxRecipients: 1, minFreeDisk: '1Gi' },
      delivery: { mxPort: 2525, maxConnections: 1 },
      monitoring: { podMonitor: 'Disabled', rules: 'Disabled' },
    }),
  },
  {
    name: 'a DomainPolicy with everything',
    object: domainPolicy({
      domains: ['example.com', '*.example.com', 'xn--bcher-kva.example'],
      senders: {
        namespaces: { from: 'Selector', selector: labelled },
        serviceAccounts: ['checkout'],
        users: ['shop_1'],
      },
      dns: {
        publish: 'ExternalDNS',
        checks: 'Disabled',
        spf: { include: ['_spf.example.net'], addresses: ['192.0.2.0/24'] },
        dmarc: { policy: 'Reject', reportTo: 'dmarc+reports@example.com' },
        tlsReports: { reportTo: 'tls@example.com' },
        mtaSts: { id: '20260101T000000Z' },
      },
      tls: { policy: 'Verified' },
      route: { type: 'SmartHost', smartHost },
      bounces: { to: 'bounces@example.com' },
    }),
  },
  { name: 'a null where a field is left out', object: mailRelay({ route: null, clients: { usersSecretRef: null } }) },
  {
    name: 'certificates of cert-manager',
    object: mailRelay({ tls: { type: 'CertManager', certManager: { issuerRef: { name: 'ca', kind: 'Issuer' } } } }),
  },
  {
    name: 'a given certificate',
    object: mailRelay({ tls: { type: 'SecretRef', secretRef: { name: 'certificate' } } }),
  },
  {
    name: 'namespaces by expression',
    object: mailRelay({
      policies: {
        namespaces: {
          from: 'Selector',
          selector: {
            matchExpressions: [
              { key: 'a/b', operator: 'In', values: ['x'] },
              { key: 'c', operator: 'Exists' },
            ],
          },
        },
      },
    }),
  },
  { name: 'a smart host with credentials, verified where left out', object: withSmartHost(credentials) },
  { name: 'a smart host with credentials over any TLS', object: withSmartHost({ ...credentials, tls: 'Required' }) },
  {
    name: 'credentials without TLS where that is allowed',
    object: withSmartHost({ ...credentials, tls: 'Disabled', plaintextAuthentication: 'Allowed' }),
  },
  { name: 'a smart host without TLS and without credentials', object: withSmartHost({ tls: 'Disabled' }) },
  {
    name: 'a smart host over SMTPS',
    object: withSmartHost({ port: 465, protocol: 'SMTPS', tls: 'Verified', caSecretRef: { name: 'ca' } }),
  },
  { name: 'a smart host by address', object: withSmartHost({ host: '192.0.2.25' }) },
  {
    name: 'AUTH without TLS where that is allowed',
    object: withListeners({ ...smtp, tls: 'Disabled', authentication: 'Required', plaintextAuthentication: 'Allowed' }),
  },
  {
    name: 'port 8080 of the Service on another port of the pod',
    object: withListeners({ name: 'odd', port: 8080, bindPort: 8025 }),
  },
  {
    name: 'ports that would meet in the pod, told apart by bindPort',
    object: withListeners(smtp, { name: 'other', port: 2525, bindPort: 2526 }),
  },
  { name: 'a name of 40 characters', object: mailRelay({}, { name: `a${'b'.repeat(39)}` }) },
  { name: 'a policy name of 63 characters', object: domainPolicy({}, { name: 'b'.repeat(63) }) },
  { name: 'a local part of 64 characters', object: domainPolicy({ bounces: { to: `${'a'.repeat(64)}@example.com` } }) },
  {
    name: 'sizes at both ends',
    object: mailRelay({
      limits: { maxMessageSize: '1Gi', minFreeDisk: '1Mi' },
      queue: { type: 'Volume', volume: { size: '64Mi' } },
    }),
  },
  { name: 'no delay warnings', object: mailRelay({ retry: { delayWarningSeconds: 0 } }) },
  { name: 'a Redis', object: withRedis({}) },
  {
    name: 'a Redis behind Sentinels with replicas',
    object: withRedis({
      type: 'Sentinel',
      addresses: ['s1.data:26379', 's2.data:26379'],
      sentinel: { masterName: 'mail' },
      durability: 'Replicas',
      minReplicas: 1,
      database: 3,
    }),
  },
  {
    name: 'a Redis Cluster',
    object: withRedis({
      type: 'Cluster',
      addresses: ['a:6379', '[2001:db8::1]:6379'],
      tls: 'Verified',
      keyPrefix: 'mail:',
    }),
  },
  { name: 'given DKIM keys', object: domainPolicy({ dkim: { type: 'SecretRef', secretRef: { name: 'keys' } } }) },
  { name: 'no signatures', object: domainPolicy({ dkim: { type: 'Disabled' } }) },
  { name: 'keys that are never replaced', object: withDkim({ rotationPeriodDays: 0, overlapDays: 30 }) },
  { name: 'an overlap shorter than the period', object: withDkim({ rotationPeriodDays: 8 }) },
  { name: 'a volume that grows', object: withVolume({ size: '20Gi' }), previous: withVolume({}) },
  {
    name: 'the same size written otherwise',
    object: withVolume({ size: 10_737_418_240, storageClassName: 'fast' }),
    previous: withVolume({ storageClassName: 'fast' }),
  },
  {
    name: 'everything that concerns pods',
    object: mailRelay({
      reconciliation: 'Paused',
      networkPolicy: 'Disabled',
      disruption: { maxUnavailable: 2 },
      shutdown: { gracePeriodSeconds: 120, drainTimeoutSeconds: 0 },
      template: {
        labels: { team: 'mail', 'example.com/tier': 'edge' },
        annotations: { 'example.com/note': 'any text: at all' },
        image: 'registry.example.com:5000/mail/postroad:0.1.0',
        imagePullPolicy: 'IfNotPresent',
        imagePullSecrets: [{ name: 'registry' }],
        resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { cpu: 2, memory: '1Gi' } },
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        tolerations: [
          { key: 'mail', operator: 'Equal', value: 'only', effect: 'NoSchedule' },
          { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 },
        ],
        topologySpreadConstraints: [
          { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' },
        ],
        priorityClassName: 'system-cluster-critical',
      },
    }),
  },
  {
    name: 'an image by its digest',
    object: withTemplate({ image: `registry.example.com/postroad@sha256:${'a'.repeat(64)}` }),
  },
  { name: 'requests alone', object: withTemplate({ resources: { requests: { cpu: 1, memory: '64Mi' } } }) },
  { name: 'a relay on Redis that scales with its load', object: mailRelay({ ...onRedis, autoscaling }) },
  {
    name: 'as many pods at the least as at the most',
    object: mailRelay({
      ...onRedis,
      autoscaling: { minReplicas: 3, maxReplicas: 3, targetCPUUtilizationPercent: 50 },
      template: { resources: { requests: { cpu: '256' } } },
    }),
  },
  {
    name: 'a relay on Redis that scales with the age of its queue',
    object: mailRelay({ ...onRedis, autoscaling: { ...autoscaling, targetQueueAgeSeconds: 60 } }),
  },
  {
    name: 'a change of everything but the queue',
    object: mailRelay({ hostname: 'mx.example.com', route: { type: 'Capture' } }),
    previous: mailRelay(),
  },
];

const notMember = 'must be given where';

export const refusedObjects: readonly RefusedCase[] = [
  {
    name: 'a MailRelay without its required fields',
    object: { apiVersion, kind: 'MailRelay', metadata: { name: 'outbound', namespace: 'mail' }, spec: {} },
    faults: ['spec.hostname: must be given', 'spec.listeners: must be given'],
  },
  {
    name: 'an object without a spec',
    object: { apiVersion, kind: 'DomainPolicy', metadata: { name: 'shop', namespace: 'shop' } },
    faults: ['spec: must be given'],
  },
  { name: 'a mistyped field', object: mailRelay({ hostnam: 'x' }), faults: ['spec.hostnam: did you mean hostname?'] },
  {
    name: 'a field that there is not',
    object: mailRelay({ queue: { type: 'Volume', volume: { size: '1Gi', zzz: 1 } } }),
    faults: ['spec.queue.volume.zzz: the fields here are size, storageClassName'],
  },
  {
    name: 'many faults at once',
    object: mailRelay({ hostname: 'Mail', replicas: 65, listeners: [{ name: 'Smtp', port: 0, protocol: 'smtp' }] }),
    faults: [
      'spec.replicas: must be an integer from 0 to 64',
      'spec.hostname: must be a full domain name',
      'spec.listeners[0].name: must be lower-case',
      'spec.listeners[0].port: must be an integer from 1 to 65535',
      'spec.listeners[0].protocol: did you mean SMTP?',
    ],
  },
  {
    name: 'a number as a string',
    object: withListeners({ name: 'smtp', port: '25' }),
    faults: ['spec.listeners[0].port: must be an integer from 1 to 65535, not "25"'],
  },
  { name: 'a fraction', object: mailRelay({ replicas: 1.5 }), faults: ['spec.replicas: must be an integer'] },
  { name: 'a string as a number', object: mailRelay({ hostname: 25 }), faults: ['spec.hostname: must be a string'] },
  { name: 'an object as a list', object: mailRelay({ listeners: smtp }), faults: ['spec.listeners: must be a list'] },
  { name: 'a list as an object', object: mailRelay({ clients: [] }), faults: ['spec.clients: must be an object'] },
  {
    name: 'a spec that is a string',
    object: { apiVersion, kind: 'MailRelay', metadata: { name: 'a', namespace: 'b' }, spec: 'x' },
    faults: ['spec: must be an object'],
  },
  { name: 'no listeners', object: mailRelay({ listeners: [] }), faults: ['spec.listeners: must have 1 to 16 items'] },
  {
    name: 'too many domains',
    object: domainPolicy({ domains: Array.from({ length: 65 }, (_, index) => `d${index}.example.com`) }),
    faults: ['spec.domains: must have 1 to 64 items'],
  },
  {
    name: 'the same domain twice',
    object: domainPolicy({ domains: ['example.com', 'example.com'] }),
    faults: ['spec.domains[1]: must be unique'],
  },
  {
    name: 'two listeners of one name',
    object: withListeners(smtp, { name: 'smtp', port: 26 }),
    faults: ['spec.listeners[1]: must be unique'],
  },
  {
    name: 'a domain in capitals',
    object: domainPolicy({ domains: ['Example.com'] }),
    faults: ['spec.domains[0]: must be a domain in lower case'],
  },
  {
    name: 'every domain there is',
    object: domainPolicy({ domains: ['*'] }),
    faults: ['spec.domains[0]: must be a domain'],
  },
  {
    name: 'a whole top-level domain',
    object: domainPolicy({ domains: ['*.com'] }),
    faults: ['spec.domains[0]: must be a domain'],
  },
  {
    name: 'an address as a domain',
    object: domainPolicy({ domains: ['192.0.2.1'] }),
    faults: ['spec.domains[0]: must be a domain'],
  },
  {
    name: 'a domain with a line break',
    object: domainPolicy({ domains: ['example.com\n'] }),
    faults: ['spec.domains[0]: must be a domain'],
  },
  {
    name: 'a path as the name of a Secret',
    object: mailRelay({ clients: { usersSecretRef: { name: '../../etc' } } }),
    faults: ['spec.clients.usersSecretRef.name: must be the name of an object'],
  },
  {
    name: 'a user that begins with a dot',
    object: domainPolicy({ senders: { users: ['.ssh'] } }),
    faults: ['spec.senders.users[0]: must be a key'],
  },
  {
    name: 'a size with a fraction',
    object: mailRelay({ limits: { maxMessageSize: '1.5Gi' } }),
    faults: ['spec.limits.maxMessageSize: must be a size'],
  },
  {
    name: 'a reporting address with two @',
    object: domainPolicy({ dns: { dmarc: { reportTo: 'a@b@example.com' } } }),
    faults: ['spec.dns.dmarc.reportTo: must be a mail address'],
  },
  {
    name: 'reports on TLS to nobody',
    object: domainPolicy({ dns: { tlsReports: {} } }),
    faults: ['spec.dns.tlsReports.reportTo: must be given'],
  },
  {
    name: 'reports on TLS to a URL',
    object: domainPolicy({ dns: { tlsReports: { reportTo: 'https://reports.example.com/tls' } } }),
    faults: ['spec.dns.tlsReports.reportTo: must be a mail address'],
  },
  {
    name: 'MTA-STS with an id that is a date with dashes',
    object: domainPolicy({ dns: { mtaSts: { id: '2026-01-01' } } }),
    faults: ['spec.dns.mtaSts.id: must be 1 to 32 letters and digits'],
  },
  {
    name: 'MTA-STS with an id of 33 characters',
    object: domainPolicy({ dns: { mtaSts: { id: '1'.repeat(33) } } }),
    faults: ['spec.dns.mtaSts.id: must have at most 32 characters'],
  },

  // Rules. The paths are those of the objects that the rules stand on.
  {
    name: 'a name of 41 characters',
    object: mailRelay({}, { name: 'a'.repeat(41) }),
    faults: [': metadata.name must begin with a letter'],
  },
  {
    name: 'a name with a dot',
    object: mailRelay({}, { name: 'out.bound' }),
    faults: [': metadata.name must begin with a letter'],
  },
  {
    name: 'a policy name of 64 characters',
    object: domainPolicy({}, { name: 'a'.repeat(64) }),
    faults: [': metadata.name must have at most 63'],
  },
  {
    name: 'SMTPS without TLS',
    object: withListeners({ name: 'smtps', port: 465, protocol: 'SMTPS', tls: 'Disabled' }),
    faults: ['spec.listeners[0]: tls must not be Disabled'],
  },
  {
    name: 'AUTH that nobody could do',
    object: withListeners({ ...smtp, tls: 'Disabled', authentication: 'Required' }),
    faults: ['spec.listeners[0]: plaintextAuthentication must be Allowed'],
  },
  {
    name: 'the port of HTTP',
    object: withListeners({ ...smtp, bindPort: 8080 }),
    faults: ['spec.listeners[0]: the port in the pod must not be 8080'],
  },
  {
    name: 'a port used twice',
    object: withListeners(smtp, { name: 'other', port: 25, bindPort: 3025 }),
    faults: ['spec.listeners: each port must be used by one listener'],
  },
  {
    name: 'ports that meet in the pod',
    object: withListeners(smtp, { name: 'other', port: 2525 }),
    faults: ['spec.listeners: each port in the pod'],
  },
  {
    name: 'ports below 1024 that meet above',
    object: withListeners({ name: 'a', port: 26 }, { name: 'b', port: 2026 }),
    faults: ['spec.listeners: each port in the pod'],
  },
  {
    name: 'trust in everybody',
    object: mailRelay({ clients: { trustedNetworks: ['0.0.0.0/0'] } }),
    faults: ['spec.clients.trustedNetworks[0]: must be a network'],
  },
  {
    name: 'trust in everybody of IPv6',
    object: mailRelay({ clients: { trustedNetworks: ['::/0'] } }),
    faults: ['spec.clients.trustedNetworks[0]: must be a network'],
  },
  {
    name: 'an address without a prefix length',
    object: mailRelay({ clients: { trustedNetworks: ['127.0.0.1'] } }),
    faults: ['spec.clients.trustedNetworks[0]: must be a network'],
  },
  {
    name: 'a prefix length that is too long',
    object: mailRelay({ clients: { trustedNetworks: ['127.0.0.0/33'] } }),
    faults: ['spec.clients.trustedNetworks[0]: must be a network'],
  },
  {
    name: 'IPv4 in an IPv6 coat',
    object: mailRelay({ clients: { trustedNetworks: ['::ffff:10.0.0.0/104'] } }),
    faults: ['spec.clients.trustedNetworks[0]: must be a network'],
  },
  {
    name: 'a nameserver that is no address',
    object: mailRelay({ dns: { nameservers: ['999.0.2.53:53'] } }),
    faults: ['spec.dns.nameservers[0]: must be an IP address'],
  },
  {
    name: 'a nameserver with a port that is too high',
    object: mailRelay({ dns: { nameservers: ['192.0.2.53:65536'] } }),
    faults: ['spec.dns.nameservers[0]: must be an IP address'],
  },
  {
    name: 'a first delay longer than the longest',
    object: mailRelay({ retry: { initialDelaySeconds: 20_000 } }),
    faults: ['spec.retry: initialDelaySeconds must be at most'],
  },
  {
    name: 'a delay warning after the end',
    object: mailRelay({ retry: { messageLifetimeSeconds: 3600 } }),
    faults: ['spec.retry: delayWarningSeconds must be less'],
  },
  {
    name: 'messages of no size',
    object: mailRelay({ limits: { maxMessageSize: 1000 } }),
    faults: ['spec.limits.maxMessageSize: must be a size of 1Ki to 1Gi'],
  },
  {
    name: 'messages that are too big',
    object: mailRelay({ limits: { maxMessageSize: '2G' } }),
    faults: ['spec.limits.maxMessageSize: must be a size of 1Ki to 1Gi'],
  },
  {
    name: 'a disk that may fill up',
    object: mailRelay({ limits: { minFreeDisk: 1 } }),
    faults: ['spec.limits.minFreeDisk: must be a size of 1Mi to 16Ti'],
  },
  {
    name: 'a volume that is too small',
    object: withVolume({ size: '1Mi' }),
    faults: ['spec.queue.volume.size: must be a size of 64Mi to 64Ti'],
  },
  {
    name: 'a selector where none is asked for',
    object: mailRelay({ policies: { namespaces: { from: 'All', selector: labelled } } }),
    faults: [`spec.policies.namespaces: selector ${notMember} from is Selector`],
  },
  {
    name: 'no selector where one is asked for',
    object: domainPolicy({ senders: { namespaces: { from: 'Selector' } } }),
    faults: [`spec.senders.namespaces: selector ${notMember} from is Selector`],
  },
  {
    name: 'a smart host that is not told',
    object: mailRelay({ route: { type: 'SmartHost' } }),
    faults: [`spec.route: smartHost ${notMember} type is SmartHost`],
  },
  {
    name: 'a smart host beside direct delivery',
    object: domainPolicy({ route: { type: 'Direct', smartHost } }),
    faults: [`spec.route: smartHost ${notMember} type is SmartHost`],
  },
  {
    name: 'credentials over TLS that may be missing',
    object: withSmartHost({ ...credentials, tls: 'Opportunistic' }),
    faults: ['spec.route.smartHost: tls must be Required or Verified where credentialsSecretRef'],
  },
  {
    name: 'SMTPS that may be missing',
    object: withSmartHost({ protocol: 'SMTPS', tls: 'Opportunistic' }),
    faults: ['spec.route.smartHost: tls must be Required or Verified where protocol'],
  },
  {
    name: 'a certificate without its Secret',
    object: mailRelay({ tls: { type: 'SecretRef' } }),
    faults: [`spec.tls: secretRef ${notMember} type is SecretRef`],
  },
  {
    name: 'an issuer without cert-manager',
    object: mailRelay({ tls: { type: 'SelfSigned', certManager: { issuerRef: { name: 'ca', kind: 'Issuer' } } } }),
    faults: [`spec.tls: certManager ${notMember} type is CertManager`],
  },
  {
    name: 'a volume queue without a volume',
    object: mailRelay({ queue: { type: 'Volume' } }),
    faults: [`spec.queue: volume ${notMember} type is Volume`],
  },
  {
    name: 'a volume beside a Redis',
    object: mailRelay({ queue: { type: 'Redis', redis, volume: { size: '1Gi' } } }),
    faults: [`spec.queue: volume ${notMember} type is Volume`],
  },
  {
    name: 'a Redis beside a volume',
    object: mailRelay({ queue: { type: 'Volume', redis, volume: { size: '1Gi' } } }),
    faults: [`spec.queue: redis ${notMember} type is Redis`],
  },
  {
    name: 'Sentinels without a master',
    object: withRedis({ type: 'Sentinel' }),
    faults: [`spec.queue.redis: sentinel ${notMember} type is Sentinel`],
  },
  {
    name: 'replicas without their number',
    object: withRedis({ durability: 'Replicas' }),
    faults: [`spec.queue.redis: minReplicas ${notMember} durability is Replicas`],
  },
  {
    name: 'a single Redis at two addresses',
    object: withRedis({ addresses: ['a:1', 'b:1'] }),
    faults: ['spec.queue.redis: addresses must hold exactly one'],
  },
  {
    name: 'a database of a Cluster',
    object: withRedis({ type: 'Cluster', database: 1 }),
    faults: ['spec.queue.redis: database must be left out'],
  },
  {
    name: 'managed keys without their member',
    object: domainPolicy({ dkim: { type: 'Managed' } }),
    faults: [`spec.dkim: managed ${notMember} type is Managed`],
  },
  {
    name: 'a Secret beside managed keys',
    object: domainPolicy({ dkim: { type: 'Managed', managed: {}, secretRef: { name: 'keys' } } }),
    faults: [`spec.dkim: secretRef ${notMember} type is SecretRef`],
  },
  {
    name: 'an overlap as long as the period',
    object: withDkim({ rotationPeriodDays: 7 }),
    faults: ['spec.dkim.managed: overlapDays (7 where left out) must be less'],
  },
  {
    name: 'a local part of 65 characters',
    object: domainPolicy({ bounces: { to: `${'a'.repeat(65)}@example.com` } }),
    faults: ['spec.bounces.to: must have at most 64 characters'],
  },
  {
    name: 'a listener by the name of HTTP',
    object: withListeners({ name: 'http', port: 25 }),
    faults: ['spec.listeners[0]: name must not be http'],
  },
  {
    name: 'autoscaling of volumes',
    object: mailRelay({ autoscaling }),
    faults: ['spec: autoscaling must be left out where queue.type is Volume'],
  },
  {
    name: 'autoscaling upside down',
    object: mailRelay({ ...onRedis, autoscaling: { minReplicas: 3, maxReplicas: 2 } }),
    faults: ['spec.autoscaling: minReplicas must be at most maxReplicas'],
  },
  {
    name: 'autoscaling by mail that never waits',
    object: mailRelay({ ...onRedis, autoscaling: { ...autoscaling, targetQueueAgeSeconds: 0 } }),
    faults: ['spec.autoscaling.targetQueueAgeSeconds: must be an integer from 1 to 86400'],
  },
  {
    name: 'autoscaling by a part of nothing',
    object: mailRelay({ ...onRedis, autoscaling, template: { resources: { limits: { memory: '1Gi' } } } }),
    faults: ['spec: template.resources.requests.cpu must be given'],
  },
  {
    name: 'no eviction at all',
    object: mailRelay({ disruption: { maxUnavailable: 0 } }),
    faults: ['spec.disruption.maxUnavailable: must be an integer from 1 to 64'],
  },
  {
    name: 'a label of ours',
    object: withTemplate({ labels: { 'app.kubernetes.io/name': 'other' } }),
    faults: ['spec.template.labels: keys must not begin with app.kubernetes.io/'],
  },
  {
    name: 'an annotation of ours',
    object: withTemplate({ annotations: { 'postroad.dev/configuration-revision': '1' } }),
    faults: ['spec.template.annotations: keys must not begin with'],
  },
  {
    name: 'a label whose key is no name',
    object: withTemplate({ labels: { 'a b': 'c' } }),
    faults: ['spec.template.labels: each key must be a name'],
  },
  {
    name: 'a node label whose key is no name',
    object: withTemplate({ nodeSelector: { '-': 'c' } }),
    faults: ['spec.template.nodeSelector: each key must be a name'],
  },
  {
    name: 'a label whose value is none',
    object: withTemplate({ labels: { team: 'mail team' } }),
    faults: ['spec.template.labels.team: must be letters, digits'],
  },
  {
    name: 'an image with a space',
    object: withTemplate({ image: 'postroad latest' }),
    faults: ['spec.template.image: must be an image'],
  },
  {
    name: 'half a millicore',
    object: withTemplate({ resources: { requests: { cpu: '0.5m' } } }),
    faults: ['spec.template.resources.requests.cpu: must be a number of CPUs'],
  },
  {
    name: 'too little CPU',
    object: withTemplate({ resources: { limits: { cpu: '9m' } } }),
    faults: ['spec.template.resources.limits.cpu: must be CPUs of 10m to 256'],
  },
  {
    name: 'too little memory',
    object: withTemplate({ resources: { limits: { memory: '63Mi' } } }),
    faults: ['spec.template.resources.limits.memory: must be a size of 64Mi to 4Ti'],
  },
  {
    name: 'requests above the limits',
    object: withTemplate({ resources: { requests: { cpu: 2, memory: '2Gi' }, limits: { cpu: '1', memory: '1Gi' } } }),
    faults: [
      'spec.template.resources: requests.cpu must be at most',
      'spec.template.resources: requests.memory must be at most',
    ],
  },
  {
    name: 'a taint that exists with a value',
    object: withToleration({ key: 'a', operator: 'Exists', value: 'b' }),
    faults: ['spec.template.tolerations[0]: value must be left out'],
  },
  {
    name: 'a taint without a key that is equal',
    object: withToleration({ operator: 'Equal', value: 'b' }),
    faults: ['spec.template.tolerations[0]: value must be left out where operator is Exists, and key be given'],
  },
  {
    name: 'a time for a taint that has none',
    object: withToleration({ key: 'a', operator: 'Exists', effect: 'NoSchedule', tolerationSeconds: 1 }),
    faults: ['spec.template.tolerations[0]: tolerationSeconds must be left out'],
  },
  {
    name: 'spread twice by one label',
    object: withTemplate({
      topologySpreadConstraints: [
        { topologyKey: 'zone', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
        { topologyKey: 'zone', maxSkew: 2, whenUnsatisfiable: 'ScheduleAnyway' },
      ],
    }),
    faults: ['spec.template.topologySpreadConstraints[1]: must be unique'],
  },
  {
    name: 'PROXY headers from everybody',
    object: withListeners({ ...smtp, proxyProtocol: { from: ['0.0.0.0/0'] } }),
    faults: ['spec.listeners[0].proxyProtocol.from[0]: must be a network'],
  },
  {
    name: 'an SPF record for everybody',
    object: domainPolicy({ dns: { spf: { addresses: ['::/0'] } } }),
    faults: ['spec.dns.spf.addresses[0]: must be a network'],
  },
  {
    name: 'reports to a local part of 65 characters',
    object: domainPolicy({ dns: { dmarc: { reportTo: `${'a'.repeat(65)}@example.com` } } }),
    faults: ['spec.dns.dmarc.reportTo: must have at most 64 characters'],
  },
  {
    name: 'reports on TLS to a local part of 65 characters',
    object: domainPolicy({ dns: { tlsReports: { reportTo: `${'a'.repeat(65)}@example.com` } } }),
    faults: ['spec.dns.tlsReports.reportTo: must have at most 64 characters'],
  },
  {
    name: "a policy's credentials over TLS that may be missing",
    object: policyWithSmartHost({ ...credentials, tls: 'Opportunistic' }),
    faults: ['spec.route.smartHost: tls must be Required or Verified where credentialsSecretRef'],
  },
  {
    name: "a policy's SMTPS that may be missing",
    object: policyWithSmartHost({ protocol: 'SMTPS', tls: 'Disabled' }),
    faults: ['spec.route.smartHost: tls must be Required or Verified where protocol'],
  },
  {
    name: 'an annotation whose key is no name',
    object: withTemplate({ annotations: { 'a b': 'c' } }),
    faults: ['spec.template.annotations: each key must be a name'],
  },
  {
    name: 'requests of too little',
    object: withTemplate({ resources: { requests: { cpu: '9m', memory: '63Mi' } } }),
    faults: [
      'spec.template.resources.requests.cpu: must be CPUs of 10m to 256',
      'spec.template.resources.requests.memory: must be a size of 64Mi to 4Ti',
    ],
  },
  {
    name: 'another type of queue',
    object: withRedis({}),
    previous: withVolume({}),
    faults: ['spec.queue.type: type must stay as it is'],
  },
  {
    name: 'another type of queue than the default',
    object: withRedis({}),
    previous: mailRelay(),
    faults: ['spec.queue.type: type must stay as it is'],
  },
  {
    name: 'a volume that shrinks',
    object: withVolume({ size: '10G' }),
    previous: withVolume({}),
    faults: ['spec.queue.volume: size must not shrink'],
  },
  {
    name: 'a volume that moves',
    object: withVolume({ storageClassName: 'fast' }),
    previous: withVolume({}),
    faults: ['spec.queue.volume: storageClassName must stay as it is'],
  },
];
