/** spec.queue of a MailRelay. */
import { nodeAddress, objectName, secretRef } from './common.ts';
import { integer, list, object, oneOf, optional, quantity, string, type TypeOf, union } from './schema.ts';
import { bytesOf, quantityBetween } from './size.ts';

const volume = object(
  'For type Volume: a persistent volume for each pod.',
  {
    size: quantity('Size of each volume. It can grow later.', [quantityBetween('64Mi', '64Ti')]),
    storageClassName: optional(objectName("Storage class. Left out: the cluster's default.")),
  },
  {
    rules: [
      {
        rule: 'quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0',
        message: 'size must not shrink: a volume cannot',
        check: (self, oldSelf) => bytesOf(self.size) >= bytesOf(oldSelf.size),
      },
      {
        rule: "(has(self.storageClassName) ? self.storageClassName : '') == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '')",
        message: 'storageClassName must stay as it is: a volume cannot move',
        check: (self, oldSelf) => (self.storageClassName ?? '') === (oldSelf.storageClassName ?? ''),
      },
    ],
  },
);

const redis = union(
  'For type Redis: a Redis or Valkey that all pods share.',
  {
    type: oneOf('Single: one server. Sentinel: found through Sentinels. Cluster: found through its nodes.', [
      'Single',
      'Sentinel',
      'Cluster',
    ]),
    addresses: list('The server, the Sentinels, or some nodes of the Cluster.', nodeAddress('Host and port.'), {
      listType: 'set',
      minItems: 1,
      maxItems: 16,
    }),
    sentinel: optional(
      object('For type Sentinel.', {
        masterName: string('Name of the master as the Sentinels know it.', { maxLength: 128 }),
        credentialsSecretRef: optional(
          secretRef('Secret with the keys `username` and `password` for the Sentinels. Left out: none.'),
        ),
      }),
    ),
    durability: oneOf(
      'When mail counts as safe. Fsync: written to disk by the server. Replicas: also held by `minReplicas` replicas. Memory: at once; a failing server loses mail.',
      ['Fsync', 'Replicas', 'Memory'],
    ),
    minReplicas: optional(integer('For durability Replicas: how many must hold it.', 1, 8)),
    credentialsSecretRef: optional(
      secretRef('Secret with the key `password` and, where the server has users, `username`. Left out: none.'),
    ),
    tls: optional(
      oneOf(
        'Disabled: plain text. Required: any certificate. Verified: and it must be valid for its host. Left out: Verified.',
        ['Disabled', 'Required', 'Verified'],
      ),
    ),
    caSecretRef: optional(
      secretRef(
        "Secret whose key `ca.crt` holds the authorities to trust for Verified, in PEM. Left out: the system's.",
      ),
    ),
    database: optional(integer('Database number, for Single and Sentinel. Left out: 0.', 0, 1023)),
    keyPrefix: optional(
      string("Beginning of every key. Left out: `postroad:` and the relay's namespace and name.", {
        maxLength: 128,
        pattern: { regex: '^[A-Za-z0-9:._-]+$', means: 'letters, digits, colons, dots, hyphens and underscores' },
      }),
    ),
  },
  {
    discriminator: 'type',
    members: { Sentinel: 'sentinel' },
    rules: [
      {
        rule: "has(self.minReplicas) == (self.durability == 'Replicas')",
        message: 'minReplicas must be given where durability is Replicas, and only there',
        check: self => (self.minReplicas !== undefined) === (self.durability === 'Replicas'),
      },
      {
        rule: "self.type != 'Single' || self.addresses.size() == 1",
        message: 'addresses must hold exactly one address where type is Single',
        check: self => self.type !== 'Single' || self.addresses.length === 1,
      },
      {
        rule: "self.type != 'Cluster' || !has(self.database) || self.database == 0",
        message: 'database must be left out where type is Cluster, which has only one',
        check: self => self.type !== 'Cluster' || (self.database ?? 0) === 0,
      },
    ],
  },
);

export const queue = union(
  'Where accepted mail waits. Its type cannot change: another relay takes over instead.',
  {
    type: oneOf('Volume: on a persistent volume of each pod. Redis: in a Redis or Valkey that all pods share.', [
      'Volume',
      'Redis',
    ]),
    volume: optional(volume),
    redis: optional(redis),
  },
  {
    discriminator: 'type',
    members: { Volume: 'volume', Redis: 'redis' },
    rules: [
      {
        rule: 'self.type == oldSelf.type',
        message: 'type must stay as it is: make a second MailRelay, and let this one deliver what it holds',
        fieldPath: '.type',
        check: (self, oldSelf) => self.type === oldSelf.type,
      },
    ],
  },
);
export type Queue = TypeOf<typeof queue>;
