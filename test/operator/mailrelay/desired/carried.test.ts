import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Desired } from '../../../../operator/mailrelay/desired/desired.ts';
import { type AttachedPolicy, type Existing, noExisting } from '../../../../operator/mailrelay/desired/input.ts';
import type { RelayConfigInput } from '../../../../relay/config.ts';
import { at, attached, desiredOf, filesOf, find, pod, storedRelay } from '../relay-input.ts';

const relay = storedRelay({ clients: { usersSecretRef: { name: 'smtp-users' } } });
const shop = attached({ domains: ['shop.example.com', 'store.example.com'] });
const bank = attached({ domains: ['bank.example.com'] }, { name: 'bank', namespace: 'bank' });
const before = desiredOf(relay, { policies: [shop, bank] });

function textOf(desired: Desired): string {
  const text = at(find(desired, 'ConfigMap', 'outbound-relay-config'), 'data', 'relay.json');
  assert.ok(typeof text === 'string', 'the configuration is written');
  return text;
}

function configOf(desired: Desired): RelayConfigInput {
  return JSON.parse(textOf(desired)) as RelayConfigInput;
}

/** What the API server would hold after `desired` was applied. */
function existingAfter(desired: Desired, changes: Partial<Existing> = {}): Existing {
  const workload = { replicas: 2, claimSize: '10Gi', fileShards: 1 };
  return { ...noExisting, workload, configText: textOf(desired), fileShards: [filesOf(before)], ...changes };
}

/** `shop/shop`: by which selectors mail of which domains is signed; undefined: of all. */
function signing({ policies = [] }: RelayConfigInput, name: string): unknown {
  return policies.find(policy => policy.name === name)?.dkim?.map(({ selector, signsFor }) => [selector, signsFor]);
}

/** The record of its first key is gone, at these domains. */
function without(policy: AttachedPolicy, signsFor: readonly string[]): AttachedPolicy {
  const [key, ...others] = policy.keys;
  assert.ok(key !== undefined);
  return { ...policy, keys: [{ ...key, signsFor }, ...others] };
}

const lost = [without(shop, []), bank];

describe('a relay whose configuration must stay as it is', () => {
  const tooLarge = { secrets: new Map([['mail/smtp-users', new Map([['demo', Buffer.alloc(8_000_000)]])]]) };
  for (const [why, changes] of Object.entries({
    'lacks a Secret': { blocked: true },
    'has no certificate': { certificate: undefined },
    'needs more than fits': tooLarge,
  })) {
    it(`${why}: still stops the key whose record is lost, and changes nothing else`, () => {
      const after = desiredOf(relay, { ...changes, policies: lost, existing: existingAfter(before) });
      assert.notEqual(after.configuration.kind, 'Made');
      const [now, then] = [configOf(after), configOf(before)];
      assert.deepEqual(signing(now, 'shop'), [['pred25519', undefined]]);
      assert.deepEqual(signing(now, 'bank'), signing(then, 'bank'));
      const unsigned = (config: RelayConfigInput) => ({
        ...{ ...config, revision: '' },
        policies: config.policies?.map(policy => ({ ...policy, dkim: [] })),
      });
      assert.deepEqual(unsigned(now), unsigned(then));
      assert.notEqual(now.revision, then.revision);
      assert.equal(filesOf(after).size, 0, 'no Secret is written');
    });
  }

  it('goes on signing for the domains whose record is there', () => {
    const policies = [without(shop, ['store.example.com']), bank];
    const after = desiredOf(relay, { blocked: true, policies, existing: existingAfter(before) });
    assert.deepEqual(signing(configOf(after), 'shop'), [
      ['prrsa2048', ['store.example.com']],
      ['pred25519', undefined],
    ]);
  });

  it('stops the keys of a policy that is gone, and those that a policy no longer has', () => {
    const gone = desiredOf(relay, { blocked: true, policies: [bank], existing: existingAfter(before) });
    assert.deepEqual(signing(configOf(gone), 'shop'), []);
    const without_ = [{ ...shop, keys: [] }, bank];
    const none = desiredOf(relay, { blocked: true, policies: without_, existing: existingAfter(before) });
    assert.deepEqual(signing(configOf(none), 'shop'), []);
  });

  it('goes on with given keys while their Secret is missing', () => {
    const given = attached({ dkim: { type: 'SecretRef', secretRef: { name: 'keys' } } });
    const with_ = desiredOf(relay, { policies: [given] });
    const lacking = [{ ...given, complete: false, keys: [] }];
    const after = desiredOf(relay, { blocked: true, policies: lacking, existing: existingAfter(with_) });
    assert.equal(find(after, 'ConfigMap', 'outbound-relay-config'), undefined);
  });

  it('tells the pods, also when the one that wrote it could not, and then is at rest', () => {
    const first = desiredOf(relay, { blocked: true, policies: lost, existing: existingAfter(before) });
    const { revision = '' } = configOf(first);
    const pods = [pod('outbound-relay-0')];
    const second = desiredOf(relay, { blocked: true, policies: lost, existing: existingAfter(first, { pods }) });
    assert.equal(find(second, 'ConfigMap', 'outbound-relay-config'), undefined, 'it is there');
    const told = { 'postroad.dev/configuration-revision': revision };
    assert.deepEqual(
      second.patches.map(({ metadata }) => metadata.annotations),
      [told],
    );
    const nudged = [pod('outbound-relay-0', { annotations: told })];
    const third = desiredOf(relay, { blocked: true, policies: lost, existing: existingAfter(first, { pods: nudged }) });
    assert.deepEqual(third.patches, []);
  });

  it('knows what runs from what is there alone', () => {
    const after = desiredOf(relay, { blocked: true, policies: [shop, bank], existing: existingAfter(before) });
    assert.ok(after.configuration.kind === 'Blocked');
    assert.deepEqual([...(after.configuration.kept?.parts ?? [])], [...before.configuration.parts]);
    const less = desiredOf(relay, { blocked: true, policies: lost, existing: existingAfter(before) });
    assert.ok(less.configuration.kind === 'Blocked');
    assert.deepEqual(less.configuration.kept?.parts.get('shop/shop')?.loaded, ['pred25519']);
  });

  it('is left alone where nothing was ever made, or somebody has broken it', () => {
    for (const configText of [undefined, '{', '{}']) {
      const after = desiredOf(relay, { blocked: true, policies: lost, existing: { ...noExisting, configText } });
      assert.equal(find(after, 'ConfigMap', 'outbound-relay-config'), undefined);
    }
  });
});
