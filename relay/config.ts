/**
 * RelayConfig is the one contract between whoever configures a relay (the operator, standalone) and the relay.
 *
 * It holds no secret: passwords, certificates and private keys are named by file, laid out as Kubernetes mounts a Secret
 * (a directory with one file a key). The relay reads it whole, checks it whole, and keeps the last good one when a
 * new one has any fault (G5).
 */
import { z } from 'zod';

const name = z.string().min(1).max(253);
const file = z.string().min(1).max(4096);
const domain = z.string().min(1).max(253);
const seconds = z.int().min(0);
const port = z.int().min(0).max(65535);

const smartHost = z.strictObject({
  host: domain,
  port: port.min(1),
  /** Disabled: never STARTTLS. Opportunistic: if offered, unverified. Required: any certificate. Verified: WebPKI or `caFile`, name checked. */
  tls: z.enum(['Disabled', 'Opportunistic', 'Required', 'Verified']),
  /** true: TLS from the first byte (port 465). */
  implicitTls: z.boolean().default(false),
  /** Directory with the files `username` and `password`, or a file: a JSON object of the two. */
  credentialsDir: file.optional(),
  /** Allowed: the password may travel without TLS where `tls` permits such a connection. */
  plaintextAuthentication: z.enum(['Refused', 'Allowed']).default('Refused'),
  /** PEM bundle that replaces the system's roots. */
  caFile: file.optional(),
});

const route = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Direct') }),
  z.strictObject({ type: z.literal('SmartHost'), smartHost }),
  z.strictObject({ type: z.literal('Capture') }),
]);

const listener = z.strictObject({
  name,
  /** Port that clients see, through the Service. */
  port: port.min(1),
  /** Port in the pod; 0 lets the system choose. */
  bindPort: port,
  bindAddress: z.string().default('::'),
  protocol: z.enum(['SMTP', 'SMTPS']),
  tls: z.enum(['Disabled', 'Optional', 'Required']),
  authentication: z.enum(['None', 'Optional', 'Required']),
  /** Whether AUTH may be offered before TLS. */
  plaintextAuthentication: z.enum(['Refused', 'Allowed']).default('Refused'),
  lineEndings: z.enum(['Reject', 'Fix']).default('Reject'),
  /** CIDRs whose connections must begin with a PROXY v1 or v2 header; all others must not. */
  proxyProtocolFrom: z.array(z.string()).max(64).default([]),
});

const dkimKey = z.strictObject({
  selector: z.string().min(1).max(63),
  algorithm: z.enum(['RSA2048', 'Ed25519']),
  privateKeyFile: file,
  /**
   * Domains of the policy, without `*.`, whose mail it signs; left out: all of them. A key that is named for none is loaded, so that every
   * pod has it before one uses it.
   */
  signsFor: z.array(domain).max(64).optional(),
});

const policy = z.strictObject({
  namespace: name,
  name,
  domains: z.array(domain).min(1).max(64),
  senders: z.strictObject({
    /** Namespaces whose identities may send; the operator has resolved Same, All and Selector. `*` is every namespace. */
    namespaces: z.array(name).max(10_000),
    /** Where not empty, only these service accounts of the namespaces above. */
    serviceAccounts: z.array(name).max(256).default([]),
    /** Where not empty, only these static users. */
    users: z.array(name).max(256).default([]),
  }),
  /** Each message gets one signature per key that signs for its domain. */
  dkim: z.array(dkimKey).max(8).default([]),
  /** Outbound TLS for this policy's mail. */
  tls: z.enum(['Opportunistic', 'Required', 'Verified']).default('Opportunistic'),
  /** Overrides the relay's. */
  route: route.optional(),
  /** Where DSNs for this policy's mail go instead of the reverse-path. */
  bouncesTo: z.string().max(320).optional(),
});

const limits = z.strictObject({
  maxMessageSizeBytes: z
    .int()
    .min(1024)
    .default(25 * 1024 * 1024),
  maxRecipients: z.int().min(1).max(100_000).default(1000),
  maxSessions: z.int().min(1).default(10_000),
  /** Per client address. */
  maxSessionsPerClient: z.int().min(1).default(1000),
  maxCommandsPerSession: z.int().min(10).default(1_000_000),
  /** Refused commands, recipients and messages before 421. */
  maxErrorsPerSession: z.int().min(1).default(50),
  /** Longest line of a message, CRLF not counted; 998 by RFC 5322 s2.1.1, but real mail breaks it. */
  maxLineBytes: z.int().min(998).default(1_000_000),
  /** RFC 5321 s4.5.3.2.7 asks for at least 5 minutes. */
  idleTimeoutSeconds: seconds.min(1).default(300),
  sessionTimeoutSeconds: seconds.min(1).default(3600),
  /** The queue takes no more (452) when its disk has less free than this. */
  minFreeDiskBytes: z
    .int()
    .min(0)
    .default(256 * 1024 * 1024),
});

const retry = z.strictObject({
  initialDelaySeconds: seconds.min(1).default(60),
  maxDelaySeconds: seconds.min(1).default(14_400),
  messageLifetimeSeconds: seconds.min(1).default(432_000),
  delayWarningSeconds: seconds.default(14_400),
});

const delivery = z.strictObject({
  maxConnections: z.int().min(1).max(10_000).default(200),
  maxConnectionsPerLane: z.int().min(1).max(1000).default(20),
  maxMessagesPerConnection: z.int().min(1).default(1000),
  connectTimeoutSeconds: seconds.min(1).default(30),
  /** One limit for each SMTP phase's reply (RFC 5321 s4.5.3.2). */
  commandTimeoutSeconds: seconds.min(1).default(300),
  idleConnectionSeconds: seconds.min(1).default(10),
  /** Port of MX hosts; anything but 25 is for tests and private networks. */
  mxPort: port.min(1).default(25),
});

const redis = z.strictObject({
  /** Single: one server. Sentinel: `addresses` are Sentinels. Cluster: `addresses` are some of its nodes. */
  type: z.enum(['Single', 'Sentinel', 'Cluster']),
  addresses: z
    .array(z.strictObject({ host: domain, port: port.min(1) }))
    .min(1)
    .max(16),
  sentinel: z
    .strictObject({
      masterName: z.string().min(1).max(128),
      /** As `credentialsDir` below, for the Sentinels. */
      credentialsDir: file.optional(),
    })
    .optional(),
  /** Directory with the file `password` and, where the server has users, `username`; or a file: a JSON object of the same. */
  credentialsDir: file.optional(),
  /** Required: any certificate. Verified: WebPKI or `caFile`, name checked. */
  tls: z.enum(['Disabled', 'Required', 'Verified']),
  /** PEM bundle that replaces the system's roots. */
  caFile: file.optional(),
  database: z.int().min(0).default(0),
  /** Beginning of every key; one queue a prefix. */
  keyPrefix: z.string().min(1).max(1024),
  /** What must be true before a 250. Fsync: on the server's disk. Replicas: held by `minReplicas` replicas as well. Memory: nothing more. */
  durability: z.enum(['Fsync', 'Replicas', 'Memory']),
  minReplicas: z.int().min(0).max(8).default(0),
});

const queue = z.discriminatedUnion('type', [
  /** In the data folder. */
  z.strictObject({ type: z.literal('Volume') }),
  z.strictObject({ type: z.literal('Redis'), redis }),
]);

const relayConfig = z.strictObject({
  /** Changes with the content; pods report the one they run. */
  revision: z.string().min(1).max(128),
  namespace: name,
  name,
  /** EHLO name and reporting MTA. */
  hostname: domain,
  listeners: z.array(listener).min(1).max(16),
  http: z.strictObject({
    bindAddress: z.string().default('::'),
    bindPort: port,
    /** Who sees captured mail. */
    captured: z.enum(['Loopback', 'Everybody']).default('Loopback'),
  }),
  /** PEM files; required where any listener offers TLS. */
  tls: z.strictObject({ certificateFile: file, privateKeyFile: file }).optional(),
  clients: z.strictObject({
    /** Directory: a file a user, its content the password, or an scrypt hash `$scrypt$…`. Or a file: a JSON object of the same. */
    usersDir: file.optional(),
    trustedNetworks: z.array(z.string()).max(64).default([]),
  }),
  route,
  queue: queue.default({ type: 'Volume' }),
  policies: z.array(policy).max(10_000).default([]),
  /** `host:port` or `[v6]:port`; empty is the system's resolver. */
  nameservers: z.array(z.string()).max(8).default([]),
  retry: retry.prefault({}),
  limits: limits.prefault({}),
  delivery: delivery.prefault({}),
});

export type RelayConfig = Readonly<z.output<typeof relayConfig>>;
/** What may be written: defaults left out. */
export type RelayConfigInput = z.input<typeof relayConfig>;
export type ListenerConfig = RelayConfig['listeners'][number];
export type PolicyConfig = RelayConfig['policies'][number];
export type RouteConfig = RelayConfig['route'];
export type SmartHostConfig = Extract<RouteConfig, { type: 'SmartHost' }>['smartHost'];
export type DkimKeyConfig = PolicyConfig['dkim'][number];
export type RedisConfig = Extract<RelayConfig['queue'], { type: 'Redis' }>['redis'];
export type LimitsConfig = RelayConfig['limits'];
export type RetryConfig = RelayConfig['retry'];
export type DeliveryConfig = RelayConfig['delivery'];

/** All faults of a rejected configuration at once, each `path: what would be right`. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly code = 'POSTROAD_CONFIG_INVALID';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`configuration refused: ${faults.join('; ')}`);
    this.faults = faults;
  }
}

/** @throws ConfigError */
export function parseConfig(value: unknown): RelayConfig {
  const parsed = relayConfig.safeParse(value);
  const faults = parsed.success ? crossFieldFaults(parsed.data) : parsed.error.issues.map(formatIssue);
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  return parsed.data;
}

function formatIssue(issue: z.core.$ZodIssue): string {
  return `${issue.path.join('.') || '(root)'}: ${issue.message}`;
}

function crossFieldFaults(config: RelayConfig): string[] {
  const faults: string[] = [];
  const offersTls = config.listeners.some(l => l.protocol === 'SMTPS' || l.tls !== 'Disabled');
  if (offersTls && config.tls === undefined) faults.push('tls: must be given when a listener offers TLS');
  if (config.queue.type === 'Redis') faults.push(...redisFaults(config.queue.redis));
  const owners = new Map<string, string>();
  for (const { namespace, name: policyName, domains } of config.policies) {
    for (const owned of domains) {
      const other = owners.get(owned);
      if (other !== undefined)
        faults.push(`policies: ${owned} is claimed by ${other} and by ${namespace}/${policyName}`);
      owners.set(owned, `${namespace}/${policyName}`);
    }
  }
  return faults;
}

function redisFaults({ type, addresses, sentinel, durability, minReplicas, database }: RedisConfig): string[] {
  const faults: string[] = [];
  if (type === 'Single' && addresses.length !== 1)
    faults.push('queue.redis.addresses: must be exactly one where type is Single');
  if ((type === 'Sentinel') !== (sentinel !== undefined))
    faults.push('queue.redis.sentinel: must be given where type is Sentinel, and only there');
  if ((durability === 'Replicas') !== minReplicas > 0)
    faults.push('queue.redis.minReplicas: must be given where durability is Replicas, and only there');
  if (type === 'Cluster' && database !== 0) faults.push('queue.redis.database: must be 0 where type is Cluster');
  return faults;
}
