/** In one file: all of it is about one document, which each test makes by the same few steps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Desired } from '../../../../operator/mailrelay/desired/desired.ts';
import { mostShards, placeFiles, shardBytes, shardCount } from '../../../../operator/mailrelay/desired/files.ts';
import { type Existing, noExisting } from '../../../../operator/mailrelay/desired/input.ts';
import { attached, desiredOf, filesOf, find, inputOf, pod, storedRelay } from '../relay-input.ts';

const relay = storedRelay({ clients: { usersSecretRef: { name: 'smtp-users' } } });

function madeBy({ configuration }: Desired): { revision: string; text: string } {
  assert.ok(configuration.kind === 'Made', configuration.kind);
  return configuration;
}

/** What the API server would hold after `desired` was applied. */
function existingAfter(desired: Desired, changes: Partial<Existing> = {}): Existing {
  return {
    ...noExisting,
    workload: { replicas: 2, claimSize: '10Gi', fileShards: 1 },
    configText: madeBy(desired).text,
    fileShards: [filesOf(desired)],
    ...changes,
  };
}

describe('a revision', () => {
  it('changes with the configuration and with the content of each secret, and with nothing else', () => {
    const { revision } = madeBy(desiredOf(relay));
    assert.equal(madeBy(desiredOf(storedRelay({ ...relay.spec, replicas: 7 }))).revision, revision);
    assert.notEqual(madeBy(desiredOf(storedRelay({ ...relay.spec, hostname: 'mx.example.com' }))).revision, revision);
    assert.notEqual(
      madeBy(desiredOf(relay, { certificate: { certificate: 'b', privateKey: 'b' } })).revision,
      revision,
    );
    const secrets = new Map([['mail/smtp-users', new Map([['demo', Buffer.from('another password')]])]]);
    assert.notEqual(madeBy(desiredOf(relay, { secrets })).revision, revision);
  });

  it('cannot be guessed without the key: neither can the names of files', () => {
    const one = desiredOf(relay);
    const other = desiredOf(relay, { material: { revisionKey: 'another', authorities: [] } });
    assert.notEqual(madeBy(one).revision, madeBy(other).revision);
    const names = [...filesOf(other).keys()];
    assert.deepEqual(
      [...filesOf(one).keys()].filter(name => names.includes(name)),
      [],
    );
  });
});

describe('files of the configuration before', () => {
  const before = desiredOf(relay);
  const changed = { certificate: { certificate: 'renewed', privateKey: 'renewed' } };

  it('stay until every pod runs the new one, then go', () => {
    const revision = madeBy(desiredOf(relay, changed)).revision;
    const runs = (one: string | undefined) => ({
      report: one === undefined ? undefined : { revision: one, queuedRecipients: 0 },
    });
    const filesWith = (...revisions: readonly (string | undefined)[]): string[] => {
      const pods = revisions.map((one, index) => pod(`outbound-relay-${index}`, runs(one)));
      return [...filesOf(desiredOf(relay, { ...changed, existing: existingAfter(before, { pods }) })).keys()];
    };
    const old = [...filesOf(before).keys()];
    const fresh = [...filesOf(desiredOf(relay, changed)).keys()];
    assert.deepEqual(filesWith(revision, undefined).sort(), [...new Set([...old, ...fresh])].sort());
    assert.deepEqual(filesWith(revision, madeBy(before).revision).sort(), [...new Set([...old, ...fresh])].sort());
    assert.deepEqual(filesWith(revision, revision).sort(), fresh.sort());
  });

  it('are not written again when nothing changed: a second pass wants what the first one did', () => {
    const pods = [pod('outbound-relay-0', { report: { revision: madeBy(before).revision, queuedRecipients: 3 } })];
    const second = desiredOf(relay, { existing: existingAfter(before, { pods }) });
    assert.deepEqual(second.objects, before.objects);
  });
});

describe('a policy that lacks something', () => {
  const shop = attached();
  const bank = attached({ domains: ['bank.example.com'] }, { name: 'bank', namespace: 'bank' });
  const before = desiredOf(relay, { policies: [shop, bank] });
  const broken = { ...shop, complete: false };
  const namesIn = (desired: Desired): string[] =>
    JSON.parse(madeBy(desired).text).policies.map(({ name }: { name: string }) => name);

  it('keeps what it had, keys included, while others change', () => {
    const after = desiredOf(relay, { policies: [broken, bank], existing: existingAfter(before) });
    assert.equal(madeBy(after).text, madeBy(before).text);
    assert.deepEqual(filesOf(after), filesOf(before));
  });

  it('goes on signing by no record that was lost meanwhile', () => {
    const [key, ...others] = shop.keys;
    assert.ok(key !== undefined);
    const dkimOf = (keys: typeof shop.keys) => {
      const lacking = { ...shop, complete: false, keys };
      const after = desiredOf(relay, { policies: [lacking, bank], existing: existingAfter(before) });
      const { policies } = JSON.parse(madeBy(after).text) as { policies: { name: string; dkim: typeof shop.keys }[] };
      return policies
        .find(({ name }) => name === 'shop')
        ?.dkim.map(({ selector, signsFor }) => ({ selector, signsFor }));
    };
    assert.equal(shop.policy.spec.dkim.type, 'Managed');
    assert.deepEqual(dkimOf([{ ...key, signsFor: [] }, ...others])?.[0], { selector: key.selector, signsFor: [] });
    assert.deepEqual(dkimOf(others)?.[0], { selector: key.selector, signsFor: [] }, 'it is not even loaded any more');
    assert.deepEqual(dkimOf(shop.keys)?.[0], { selector: key.selector, signsFor: undefined });
  });

  it('is left out when it never ran', () => {
    assert.deepEqual(namesIn(desiredOf(relay, { policies: [broken, bank] })), ['bank']);
  });

  it('is left out when its files are gone, or the ConfigMap is broken', () => {
    const policies = [broken, bank];
    assert.deepEqual(namesIn(desiredOf(relay, { policies, existing: existingAfter(before, { fileShards: [] }) })), [
      'bank',
    ]);
    for (const configText of ['{', '{}'])
      assert.deepEqual(namesIn(desiredOf(relay, { policies, existing: existingAfter(before, { configText }) })), [
        'bank',
      ]);
  });

  it('loses a domain that is another’s by now', () => {
    const heir = attached({}, { name: 'heir' });
    const after = desiredOf(relay, { policies: [broken, heir], existing: existingAfter(before) });
    assert.deepEqual(namesIn(after), ['heir']);
  });

  it('goes when it is detached', () => {
    assert.deepEqual(namesIn(desiredOf(relay, { policies: [bank], existing: existingAfter(before) })), ['bank']);
  });
});

describe('the part of a policy', () => {
  const shop = attached();
  const bank = attached({ domains: ['bank.example.com'] }, { name: 'bank', namespace: 'bank' });
  const before = desiredOf(relay, { policies: [shop, bank] }).configuration.parts;
  const digests = (desired: Desired): (string | undefined)[] =>
    ['shop/shop', 'bank/bank'].map(name => desired.configuration.parts.get(name)?.digest);

  it('names the keys that are loaded, and those that sign', () => {
    const [first, ...others] = shop.keys;
    assert.ok(first !== undefined);
    const keys = [{ ...first, signsFor: [] }, ...others];
    const { parts } = desiredOf(relay, { policies: [{ ...shop, keys }] }).configuration;
    assert.deepEqual(parts.get('shop/shop')?.loaded, ['prrsa2048', 'pred25519']);
    assert.deepEqual(parts.get('shop/shop')?.signing, [{ selector: 'pred25519' }]);
  });

  it('changes with the policy and with its keys, and not with its neighbours or the relay', () => {
    const now = [before.get('shop/shop')?.digest, before.get('bank/bank')?.digest];
    const stricter = attached({ tls: { policy: 'Required' } });
    const rekeyed = { ...shop, keys: shop.keys.map(key => ({ ...key, privateKeyPem: 'another' })) };
    for (const changed of [stricter, rekeyed]) {
      const [ofShop, ofBank] = digests(desiredOf(relay, { policies: [changed, bank] }));
      assert.notEqual(ofShop, now[0]);
      assert.equal(ofBank, now[1]);
    }
    const other = storedRelay({ hostname: 'other.example.com' });
    assert.deepEqual(digests(desiredOf(other, { policies: [shop, bank] })), now);
  });

  it('is the same while the relay lacks something, and nothing can be made', () => {
    const blocked = desiredOf(relay, { policies: [shop, bank], blocked: true });
    assert.deepEqual([...blocked.configuration.parts], [...before]);
  });
});

describe('a relay that lacks something', () => {
  const before = desiredOf(relay);

  it('keeps its configuration and its pods', () => {
    const after = desiredOf(relay, { blocked: true, existing: existingAfter(before) });
    assert.equal(after.configuration.kind, 'Blocked');
    assert.deepEqual(find(after, 'StatefulSet'), find(before, 'StatefulSet'));
    assert.equal(find(after, 'ConfigMap', 'outbound-relay-config'), undefined);
    assert.ok(!after.absent.some(({ name }) => /config|files-0/.test(name)), 'and nothing of it is deleted');
  });

  it('gets no pods before it has a configuration', () => {
    for (const changes of [{ blocked: true }, { certificate: undefined }]) {
      const after = desiredOf(relay, changes);
      assert.equal(find(after, 'StatefulSet'), undefined);
      assert.equal(find(after, 'Secret'), undefined);
      assert.ok(find(after, 'Service', 'outbound') !== undefined);
    }
  });

  it('is a fault of ours when a Secret was promised and not observed', () => {
    assert.throws(() => desiredOf(relay, { secrets: new Map() }), /mail\/smtp-users/);
  });
});

describe('a configuration that is too large', () => {
  const domains = Array.from({ length: 64 }, (_, index) => `a-rather-long-name-for-a-domain-${index}.example.com`);
  const large = (count: number, namespace: string) =>
    Array.from({ length: count }, (_, index) =>
      attached(
        { domains: domains.map(domain => `p${index}.${namespace}.${domain}`) },
        { name: `p${index}`, namespace },
      ),
    );

  it('of the relay itself says so, and changes nothing', () => {
    const secrets = new Map([['mail/smtp-users', new Map([['demo', Buffer.alloc(shardBytes + 1, 'x')]])]]);
    const { configuration, objects } = desiredOf(relay, { secrets });
    assert.equal(configuration.kind, 'TooLarge');
    assert.equal(find({ objects }, 'StatefulSet'), undefined);
  });

  it('leaves out policies of the namespace that has most, and of no other', () => {
    const policies = [...large(3, 'small'), ...large(400, 'greedy'), ...large(5, 'other')];
    const { configuration } = desiredOf(relay, { policies });
    assert.ok(configuration.kind === 'Made');
    assert.ok(configuration.leftOut.length > 0);
    assert.deepEqual(
      configuration.leftOut.filter(key => !key.startsWith('greedy/')),
      [],
    );
    assert.ok(configuration.parts.has('small/p2') && configuration.parts.has('other/p4'));
    assert.ok(configuration.parts.has('greedy/p0'), 'the oldest stay');
    for (const key of configuration.leftOut) assert.ok(!configuration.parts.has(key), key);
    const again = desiredOf(relay, { policies: policies.toReversed() }).configuration;
    assert.ok(again.kind === 'Made');
    assert.deepEqual([again.revision, again.leftOut], [configuration.revision, configuration.leftOut]);
  });

  it('because of one file of a tenant is made without the policy that has it', () => {
    const smartHost = { host: 'smtp.example.net', port: 587, caSecretRef: { name: 'ca' } };
    const greedy = attached(
      { domains: ['greedy.example'], route: { type: 'SmartHost', smartHost } },
      { name: 'greedy', namespace: 'greedy' },
    );
    const policies = [attached(), greedy];
    const { secrets } = inputOf(relay, { policies });
    const authorities = new Map([['ca.crt', Buffer.alloc(shardBytes + 1, 'x')]]);
    const { configuration } = desiredOf(relay, {
      policies,
      secrets: new Map([...secrets, ['greedy/ca', authorities]]),
    });
    assert.ok(configuration.kind === 'Made');
    assert.deepEqual(configuration.leftOut, ['greedy/greedy']);
    assert.ok(configuration.parts.has('shop/shop'));
  });
});

describe('files in Secrets', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 24 });
  const filesOfSizes = (list: readonly number[], prefix = 'f'): Map<string, Buffer> =>
    new Map(list.map((size, index) => [`${prefix}${index}`, Buffer.alloc(size)]));

  function assertPlaced(after: readonly ReadonlyMap<string, Buffer>[], wanted: ReadonlyMap<string, Buffer>): void {
    assert.ok(after.length <= mostShards);
    const names = after.flatMap(shard => [...shard.keys()]);
    assert.equal(new Set(names).size, names.length, 'once');
    for (const name of wanted.keys()) assert.ok(names.includes(name), name);
    for (const shard of after) assert.ok(shard.values().reduce((sum, { length }) => sum + length, 0) <= shardBytes);
  }

  function placesOf(shards: readonly ReadonlyMap<string, Buffer>[]): Map<string, number> {
    return new Map(shards.flatMap((shard, index) => [...shard.keys()].map(name => [name, index] as const)));
  }

  it('are all there once, stay where they are, and keep within what a Secret holds', () => {
    fc.assert(
      fc.property(sizes, sizes, fc.boolean(), (first, second, keepOld) => {
        const before = placeFiles({ wanted: filesOfSizes(first), existing: [], keepOld });
        const wanted = new Map([...[...filesOfSizes(first)].slice(1), ...filesOfSizes(second, 'g')]);
        const after = before && placeFiles({ wanted, existing: before, keepOld });
        fc.pre(before !== undefined && after !== undefined);
        assertPlaced(after, wanted);
        const places = placesOf(after);
        for (const [name, index] of placesOf(before))
          if (wanted.has(name)) assert.equal(places.get(name), index, `${name} moved`);
        assert.deepEqual(placeFiles({ wanted, existing: after, keepOld }), after, 'and settle at once');
      }),
      { numRuns: 100 },
    );
  });

  it('that do not fit are told, not cut', () => {
    assert.equal(
      placeFiles({ wanted: new Map([['a', Buffer.alloc(shardBytes + 1)]]), existing: [], keepOld: false }),
      undefined,
    );
    const many = filesOfSizes(Array.from({ length: mostShards + 1 }, () => shardBytes));
    assert.equal(placeFiles({ wanted: many, existing: [], keepOld: false }), undefined);
  });

  it('are mounted by powers of two, so that pods seldom restart for them, and never fewer', () => {
    const counts: readonly [number, number, number][] = [
      [0, 1, 1],
      [1, 1, 1],
      [2, 1, 2],
      [3, 1, 4],
      [5, 2, 8],
      [1, 4, 4],
      [8, 8, 8],
    ];
    for (const [needed, mounted, expected] of counts) assert.equal(shardCount(needed, mounted), expected);
  });

  it('users and credentials are one file each, whatever their names', () => {
    const secrets = new Map([
      [
        'mail/smtp-users',
        new Map([
          ['__proto__', Buffer.from('a')],
          ['b.c', Buffer.from('"quoted"\n')],
        ]),
      ],
    ]);
    const users = [...filesOf(desiredOf(relay, { secrets }))].find(([name]) => name.startsWith('users-'));
    assert.deepEqual(Object.entries(JSON.parse(String(users?.[1]))), [
      ['__proto__', 'a'],
      ['b.c', '"quoted"\n'],
    ]);
    assert.ok(inputOf(relay).secrets.size > 0);
  });
});
