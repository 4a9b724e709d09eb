/** The chain as a table: who, sending as whom, is told what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, type RelayConfigInput } from '../../../relay/config.ts';
import type { RejectReason } from '../../../relay/policy/decision.ts';
import { checkForwardPath } from '../../../relay/policy/forward-path.ts';
import { checkFrom } from '../../../relay/policy/from.ts';
import { type Identity, identifyNetwork, identifyUser } from '../../../relay/policy/identity.ts';
import { checkReversePath } from '../../../relay/policy/reverse-path.ts';
import { routeRecipient } from '../../../relay/policy/route.ts';
import { createPolicySnapshot, findPolicy } from '../../../relay/policy/snapshot.ts';
import { type Path, parsePath } from '../../../relay/smtp/path.ts';
import { buildConfig, buildPolicyInput } from '../../support/policy-builders.ts';

const smartHost = { type: 'SmartHost', smartHost: { host: 'out.example', port: 587, tls: 'Verified' } } as const;

const policies: NonNullable<RelayConfigInput['policies']> = [
  buildPolicyInput({ name: 'all', namespace: 'a', domains: ['all.example'], senders: { namespaces: ['*'] } }),
  buildPolicyInput({ name: 'own', namespace: 'a', domains: ['own.example'], senders: { namespaces: ['mail'] } }),
  buildPolicyInput({ name: 'other', namespace: 'b', domains: ['other.example'], senders: { namespaces: ['b'] } }),
  buildPolicyInput({
    name: 'named',
    namespace: 'a',
    domains: ['named.example'],
    senders: { namespaces: ['mail'], users: ['demo'] },
  }),
  buildPolicyInput({ name: 'none', namespace: 'b', domains: ['none.example'], senders: { namespaces: [] } }),
  buildPolicyInput({ name: 'wild', namespace: 'a', domains: ['*.wild.example'], senders: { namespaces: ['*'] } }),
  buildPolicyInput({ name: 'exact', namespace: 'b', domains: ['x.wild.example'], senders: { namespaces: ['b'] } }),
  buildPolicyInput({ name: 'idn', namespace: 'a', domains: ['Dömäin.example'], route: smartHost }),
];

const snapshot = createPolicySnapshot(
  buildConfig({ policies, clients: { trustedNetworks: ['10.0.0.0/8', '10.1.0.0/16', '::1/128'] } }),
);
const demo = identifyUser(snapshot, 'demo');
const eve = identifyUser(snapshot, 'eve');
const pod = identifyNetwork(snapshot, '10.1.2.3');

function path(text: string): Path {
  const parsed = parsePath(text, { smtputf8: true });
  assert.ok(parsed !== undefined, text);
  return parsed;
}

const senders: readonly (readonly [
  story: string,
  identity: Identity | undefined,
  domain: string,
  result: string | RejectReason,
])[] = [
  ['a policy for all namespaces admits a user', demo, 'all.example', 'a/all'],
  ['a policy for all namespaces admits a trusted network', pod, 'all.example', 'a/all'],
  ['nobody may send without an identity, though a policy admits all', undefined, 'all.example', 'NoIdentity'],
  ['a policy that names the namespace admits it', demo, 'own.example', 'a/own'],
  ['a policy that names another namespace does not', demo, 'other.example', 'SenderNotAllowed'],
  ['a policy that names a user admits that user', demo, 'named.example', 'a/named'],
  ['a policy that names a user does not admit another', eve, 'named.example', 'SenderNotAllowed'],
  ['a policy that names users chooses among users only', pod, 'named.example', 'a/named'],
  ['a policy without namespaces admits nobody', demo, 'none.example', 'SenderNotAllowed'],
  ['a domain without policy is nobody’s to send as', demo, 'gmail.example', 'NoPolicy'],
  ['a subdomain is not its parent', demo, 'sub.all.example', 'NoPolicy'],
  ['a name that only ends like the domain is not it', demo, 'notall.example', 'NoPolicy'],
  ['a wildcard covers a subdomain', demo, 'a.wild.example', 'a/wild'],
  ['a wildcard covers a deep subdomain', demo, 'a.b.c.wild.example', 'a/wild'],
  ['a wildcard does not cover its own parent', demo, 'wild.example', 'NoPolicy'],
  ['an exact domain comes before the wildcard above it', demo, 'x.wild.example', 'SenderNotAllowed'],
  ['below an exact domain the wildcard counts again', demo, 'y.x.wild.example', 'a/wild'],
  ['case does not matter', demo, 'ALL.Example', 'a/all'],
  ['a U-label is its A-label', demo, 'xn--dmin-moa0i.example', 'a/idn'],
  ['an address literal has no policy', demo, '[192.0.2.1]', 'NoPolicy'],
];

for (const [story, identity, domain, result] of senders) {
  test(`reverse-path: ${story}`, () => {
    const decision = checkReversePath(snapshot, identity, path(`bob@${domain}`));
    const found = decision.accept ? `${decision.value?.namespace}/${decision.value?.name}` : decision.reason;
    assert.equal(found, result);
    if (!decision.accept) assert.deepEqual([decision.reply.code, decision.reply.enhanced], [550, '5.7.1']);
  });
  if (identity === undefined) continue;
  test(`From field: ${story}`, () => {
    const decision = checkFrom(snapshot, identity, Buffer.from(`From: "x" <bob@${domain}>\r\n\r\n`));
    const found = decision.accept ? `${decision.value.namespace}/${decision.value.name}` : decision.reason;
    assert.equal(found, result === 'SenderNotAllowed' ? 'FromNotAllowed' : result);
  });
}

test('the null reverse-path is for every identity, belongs to no policy, and is refused to nobody-in-particular', () => {
  assert.deepEqual(checkReversePath(snapshot, demo, null), { accept: true, value: null });
  const decision = checkReversePath(snapshot, undefined, null);
  assert.equal(decision.accept ? undefined : decision.reason, 'NoIdentity');
});

test('every author of a From field must be admitted, and the first one owns the message', () => {
  const check = (value: string): string => {
    const decision = checkFrom(snapshot, demo, Buffer.from(`From: ${value}\r\n\r\n`));
    return decision.accept ? decision.value.name : decision.reason;
  };
  assert.equal(check('a@own.example, b@all.example'), 'own');
  assert.equal(check('b@all.example, a@own.example'), 'all');
  assert.equal(check('a@own.example, b@other.example'), 'FromNotAllowed');
  assert.equal(check('a@own.example, b@gmail.example'), 'NoPolicy');
  assert.equal(check('Team: a@own.example, b@gmail.example;'), 'NoPolicy');
});

test('a From field that is no plain list of addresses is refused with what is wrong', () => {
  for (const header of ['\r\n', 'From: Team:;\r\n\r\n', 'From: <a@all.example> <b@own.example>\r\n\r\n']) {
    const decision = checkFrom(snapshot, demo, Buffer.from(header));
    assert.ok(!decision.accept);
    assert.deepEqual([decision.reason, decision.reply.code, decision.reply.enhanced], ['MalformedFrom', 550, '5.6.0']);
  }
});

test('the refusal for a domain of another tenant says the same as for one without policy', () => {
  const text = (domain: string): string => {
    const decision = checkReversePath(snapshot, demo, path(`bob@${domain}`));
    assert.ok(!decision.accept);
    return decision.reply.text.replace(domain, 'DOMAIN');
  };
  assert.equal(text('other.example'), text('gmail.example'));
  assert.doesNotMatch(text('other.example'), /\bb\b|b\/other/);
});

test('refusals say what is missing and who can add it', () => {
  const refused = checkReversePath(snapshot, eve, path('bob@gmail.example'));
  const unknown = checkReversePath(snapshot, undefined, path('bob@gmail.example'));
  assert.ok(!refused.accept && !unknown.accept);
  assert.match(refused.reply.text, /user eve \(namespace mail\).*gmail\.example.*DomainPolicy.*owner/);
  assert.match(unknown.reply.text, /AUTH.*owner.*trustedNetworks/);
  assert.ok(refused.reply.text.length < 480 && unknown.reply.text.length < 480);
});

test('an address gets an identity only from a network of the configuration, and the nearest one names it', () => {
  assert.deepEqual(pod, { kind: 'TrustedNetwork', namespace: 'mail', network: '10.1.0.0/16' });
  assert.deepEqual(identifyNetwork(snapshot, '10.2.0.1'), { ...pod, network: '10.0.0.0/8' });
  for (const address of ['127.0.0.1', '192.168.0.1', '172.16.0.1', '::ffff:127.0.0.1', 'fd00::1', 'fe80::1%eth0', '']) {
    assert.equal(identifyNetwork(snapshot, address), undefined, address);
  }
});

test('without trusted networks no address has an identity', () => {
  const closed = createPolicySnapshot(buildConfig());
  for (const address of ['127.0.0.1', '::1', '10.0.0.1']) assert.equal(identifyNetwork(closed, address), undefined);
});

test('mail for localhost is refused where it would go to this very host, and taken by a smart host', () => {
  const decision = checkForwardPath(snapshot, path('bob@LOCALHOST'));
  assert.ok(!decision.accept);
  assert.deepEqual([decision.reason, decision.reply.code, decision.reply.enhanced], ['NoRoute', 550, '5.1.2']);
  assert.ok(!checkForwardPath(snapshot, path('bob@x.localhost')).accept);
  assert.ok(!checkForwardPath(snapshot, path('bob@x.invalid')).accept);
  assert.ok(checkForwardPath(snapshot, path('bob@example.com')).accept);
  assert.ok(checkForwardPath(snapshot, path('bob@notlocalhost')).accept);
  const idn = findPolicy(snapshot, 'xn--dmin-moa0i.example')?.policy;
  assert.ok(checkForwardPath(snapshot, path('bob@localhost'), idn ?? null).accept);
});

test('a recipient is queued by its domain, or by the smart host of the policy that owns the message', () => {
  const idn = findPolicy(snapshot, 'xn--dmin-moa0i.example')?.policy ?? null;
  const direct = { destination: 'direct/example.com', domain: 'example.com' };
  assert.deepEqual(routeRecipient(snapshot, null, path('bob@Example.com')), direct);
  const viaSmartHost = { destination: 'smart-host/a/idn', domain: 'example.com' };
  assert.deepEqual(routeRecipient(snapshot, idn, path('bob@example.com')), viaSmartHost);
});

test('a configuration with networks or domains that are none is refused, each fault named', () => {
  const config = buildConfig({
    clients: { trustedNetworks: ['10.0.0.0/8', 'localhost'] },
    policies: [
      buildPolicyInput({ domains: ['ok.example', 'not a domain', '*.*.example'] }),
      buildPolicyInput({ name: 'second', domains: ['OK.example'] }),
    ],
  });
  assert.throws(
    () => createPolicySnapshot(config),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.faults.length, 4);
      assert.match(
        error.faults.join('\n'),
        /trustedNetworks\.1.*\n.*not a domain.*\n.*\*\.\*\.example.*\n.*OK\.example/,
      );
      return true;
    },
  );
});

test('with 5,000 policies a domain is found by look-ups alone', () => {
  const many = Array.from({ length: 5000 }, (_, index) =>
    buildPolicyInput({ name: `p${index}`, domains: [`d${index}.example`, `*.d${index}.example`] }),
  );
  const large = createPolicySnapshot(buildConfig({ policies: many }));
  assert.equal(findPolicy(large, 'd4999.example')?.policy.name, 'p4999');
  assert.equal(findPolicy(large, 'a.b.d4999.example')?.policy.name, 'p4999');
  let looks = 0;
  const counting = new Map(large.policies);
  const get = counting.get.bind(counting);
  counting.get = key => {
    looks += 1;
    return get(key);
  };
  findPolicy({ ...large, policies: counting }, 'a.b.nobody.example');
  assert.equal(looks, 4);
});
