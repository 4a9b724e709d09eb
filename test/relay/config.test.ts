import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, parseConfig, type RelayConfigInput } from '../../relay/config.ts';

const valid: RelayConfigInput = {
  revision: '1',
  namespace: 'mail',
  name: 'outbound',
  hostname: 'mail.example.com',
  listeners: [{ name: 'smtp', port: 25, bindPort: 2525, protocol: 'SMTP', tls: 'Disabled', authentication: 'None' }],
  http: { bindPort: 8080 },
  clients: {},
  route: { type: 'Capture' },
};

function faultsOf(config: unknown): readonly string[] {
  try {
    parseConfig(config);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
  return assert.fail('accepted');
}

test('a small configuration gets its defaults, and trusts no network', () => {
  const config = parseConfig(valid);
  assert.deepEqual(config.clients.trustedNetworks, []);
  assert.equal(config.limits.maxMessageSizeBytes, 25 * 1024 * 1024);
  assert.equal(config.retry.messageLifetimeSeconds, 432_000);
  assert.equal(config.listeners[0]?.plaintextAuthentication, 'Refused');
});

test('all faults of a configuration are named at once, each with its place', () => {
  const faults = faultsOf({ ...valid, hostname: '', route: { type: 'Direct', extra: 1 }, http: { bindPort: 70_000 } });
  assert.deepEqual(
    faults.map(fault => fault.split(':')[0]),
    ['hostname', 'http.bindPort', 'route'],
  );
});

test('a listener with TLS needs a certificate', () => {
  const listeners = [
    { name: 's', port: 465, bindPort: 2465, protocol: 'SMTPS', tls: 'Required', authentication: 'None' },
  ];
  assert.deepEqual(faultsOf({ ...valid, listeners }), ['tls: must be given when a listener offers TLS']);
});

test('a queue in Redis is complete in itself', () => {
  const redis = {
    type: 'Sentinel',
    addresses: [{ host: 'a.data', port: 26379 }],
    sentinel: { masterName: 'queue' },
    tls: 'Verified',
    keyPrefix: 'postroad:mail:outbound:',
    durability: 'Fsync',
  };
  const queue = (fields: object): unknown => ({ ...valid, queue: { type: 'Redis', redis: { ...redis, ...fields } } });
  assert.deepEqual(parseConfig(queue({})).queue, { type: 'Redis', redis: { ...redis, database: 0, minReplicas: 0 } });
  assert.deepEqual(parseConfig(valid).queue, { type: 'Volume' });
  const table = [
    [{ type: 'Single', sentinel: undefined, addresses: [...redis.addresses, ...redis.addresses] }, 'addresses'],
    [{ type: 'Single' }, 'sentinel'],
    [{ sentinel: undefined }, 'sentinel'],
    [{ durability: 'Replicas' }, 'minReplicas'],
    [{ minReplicas: 1 }, 'minReplicas'],
    [{ type: 'Cluster', sentinel: undefined, database: 1 }, 'database'],
  ] as const;
  for (const [fields, at] of table) {
    const places = faultsOf(queue(fields)).map(fault => fault.split(':')[0]);
    assert.deepEqual(places, [`queue.redis.${at}`]);
  }
});

test('one domain has one policy', () => {
  const policy = { namespace: 'shop', domains: ['example.com'], senders: { namespaces: ['shop'] } };
  const faults = faultsOf({
    ...valid,
    policies: [
      { ...policy, name: 'a' },
      { ...policy, name: 'b' },
    ],
  });
  assert.deepEqual(faults, ['policies: example.com is claimed by shop/a and by shop/b']);
});
