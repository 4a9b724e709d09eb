import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dnsEndpoint, endpointName, valueIn } from '../../../operator/domainpolicy/desired.ts';
import { domainPolicy } from '../builders.ts';

const valid = domainPolicy();
const policy = { ...valid, metadata: { ...valid.metadata, uid: 'one' } };

test('records are one object of external-dns beside the policy, and go with it', () => {
  const { metadata, ...rest } = dnsEndpoint(policy, [{ name: 'a.example', value: 'v=spf1 ~all' }]);
  assert.equal(metadata.namespace, 'shop');
  assert.equal(metadata.name, endpointName(policy));
  assert.deepEqual(metadata.ownerReferences, [
    {
      ...{ apiVersion: 'postroad.dev/v1alpha1', kind: 'DomainPolicy', name: 'shop', uid: 'one' },
      ...{ controller: true, blockOwnerDeletion: true },
    },
  ]);
  assert.deepEqual(metadata.labels?.['postroad.dev/policy-name'], 'shop');
  assert.deepEqual(rest, {
    apiVersion: 'externaldns.k8s.io/v1alpha1',
    kind: 'DNSEndpoint',
    spec: {
      endpoints: [{ dnsName: 'a.example', recordTTL: 3600, recordType: 'TXT', targets: ['"v=spf1 ~all"'] }],
    },
  });
});

test('a policy that nobody could own by is refused', () => {
  assert.throws(() => dnsEndpoint(domainPolicy(), []), /DomainPolicy shop\/shop has no uid/);
});

test('what an endpoint says of a name is read back as it was given, however long', () => {
  const value = fc.stringMatching(/^[A-Za-z0-9+/=;:~ ._-]{1,900}$/);
  fc.assert(
    fc.property(value, text => {
      const endpoint = dnsEndpoint(policy, [
        { name: 'other.example', value: 'no' },
        { name: 'a.example', value: text },
      ]);
      assert.equal(valueIn(endpoint, 'a.example'), text);
    }),
  );
  assert.equal(valueIn(undefined, 'a.example'), undefined);
  assert.equal(valueIn(dnsEndpoint(policy, []), 'a.example'), undefined);
});
