import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { policyNeeds, relayNeeds, type SecretUse, secretProblem } from '../../operator/credentials.ts';
import { mintDkimKey } from '../../operator/domainpolicy/dkim-key.ts';
import { mintAuthority, mintCertificate } from '../../operator/mailrelay/certificate.ts';
import { domainPolicy, mailRelay } from './builders.ts';

const marker = 'hunter2-do-not-repeat';

function problemOf(use: SecretUse, entries: Readonly<Record<string, string>>): string | undefined {
  const data = new Map(Object.entries(entries).map(([key, value]) => [key, Buffer.from(value)]));
  const problem = secretProblem({ use, namespace: 'mail', name: 'secret', path: 'spec.x' }, data);
  assert.ok(problem?.message.includes(marker) !== true, 'content is never repeated');
  return problem?.message;
}

describe('the Secrets that objects refer to', () => {
  it('are those of users, certificate, smart host and DKIM, each in the namespace of its object', () => {
    const smartHost = {
      host: 'smtp.example.net',
      port: 587,
      credentialsSecretRef: { name: 'c' },
      caSecretRef: { name: 'a' },
    };
    const route = { type: 'SmartHost', smartHost };
    const relay = mailRelay({
      route,
      tls: { type: 'SecretRef', secretRef: { name: 't' } },
      clients: { usersSecretRef: { name: 'u' } },
    });
    const summary = (needs: ReturnType<typeof relayNeeds>): string[] =>
      needs.map(({ use, namespace, name, path }) => `${use} ${namespace}/${name} ${path}`);
    assert.deepEqual(summary(relayNeeds(relay)), [
      'users mail/u spec.clients.usersSecretRef',
      'certificate mail/t spec.tls.secretRef',
      'credentials mail/c spec.route.smartHost.credentialsSecretRef',
      'authorities mail/a spec.route.smartHost.caSecretRef',
    ]);
    const policy = domainPolicy({ route, dkim: { type: 'SecretRef', secretRef: { name: 'k' } } });
    assert.deepEqual(summary(policyNeeds(policy)), [
      'dkim shop/k spec.dkim.secretRef',
      'credentials shop/c spec.route.smartHost.credentialsSecretRef',
      'authorities shop/a spec.route.smartHost.caSecretRef',
    ]);
    assert.deepEqual(relayNeeds(mailRelay()), []);
  });

  it('are those of the queue in Redis and of its Sentinels, which need a password and no user name', () => {
    const redis = {
      type: 'Sentinel',
      addresses: ['a.data:26379'],
      sentinel: { masterName: 'queue', credentialsSecretRef: { name: 's' } },
      durability: 'Fsync',
      credentialsSecretRef: { name: 'r' },
      caSecretRef: { name: 'a' },
    };
    const needs = relayNeeds(mailRelay({ queue: { type: 'Redis', redis } }));
    assert.deepEqual(
      needs.map(({ use, name, path }) => `${use} ${name} ${path}`),
      [
        'redis r spec.queue.redis.credentialsSecretRef',
        'redis s spec.queue.redis.sentinel.credentialsSecretRef',
        'authorities a spec.queue.redis.caSecretRef',
      ],
    );
    const [first] = needs;
    assert.ok(first !== undefined);
    assert.equal(secretProblem(first, new Map([['password', Buffer.from('x')]])), undefined);
    assert.equal(secretProblem(first, new Map([['username', Buffer.from('x')]]))?.reason, 'SecretInvalid');
  });

  it('are missed by name and path', () => {
    const problem = secretProblem({ use: 'users', namespace: 'mail', name: 'u', path: 'spec.x' }, undefined);
    assert.deepEqual(problem, { reason: 'SecretNotFound', message: 'spec.x: Secret mail/u is not there' });
  });
});

describe('the content of a Secret', () => {
  let pair: Readonly<Record<string, string>> = {};
  let authority = '';
  let rsa = '';
  before(async () => {
    const minted = await mintAuthority('Authority', Date.now());
    const leaf = await mintCertificate(minted, { dnsNames: ['a.example.com'], addresses: [] }, Date.now());
    authority = minted.certificate;
    pair = { 'tls.crt': leaf.certificate, 'tls.key': leaf.privateKey };
    rsa = await mintDkimKey('RSA2048');
  });

  it('is users with a password each', () => {
    assert.equal(problemOf('users', { demo: marker }), undefined);
    assert.equal(problemOf('users', {}), undefined);
    assert.match(problemOf('users', { '.demo': marker }) ?? '', /do not begin with a dot/);
    assert.match(problemOf('users', { demo: '' }) ?? '', /a password or hash for demo/);
  });

  it('is a certificate with its own key', async () => {
    assert.equal(problemOf('certificate', pair), undefined);
    const other = await mintAuthority('Other', Date.now());
    assert.match(
      problemOf('certificate', { ...pair, 'tls.key': other.privateKey }) ?? '',
      /belongs to the first certificate/,
    );
    assert.match(problemOf('certificate', { ...pair, 'tls.key': marker }) ?? '', /both in PEM/);
    assert.match(problemOf('certificate', { 'tls.crt': pair['tls.crt'] ?? '' }) ?? '', /tls\.key missing/);
  });

  it('is a user name and a password', () => {
    assert.equal(problemOf('credentials', { username: 'a', password: marker }), undefined);
    assert.match(problemOf('credentials', { username: 'a', passwort: marker }) ?? '', /password missing/);
  });

  it('is authorities', () => {
    assert.equal(problemOf('authorities', { 'ca.crt': authority }), undefined);
    assert.match(problemOf('authorities', { 'ca.crt': pair['tls.crt'] ?? '' }) ?? '', /must hold authorities/);
    assert.match(problemOf('authorities', { 'ca.crt': marker }) ?? '', /in PEM/);
    assert.match(problemOf('authorities', {}) ?? '', /ca\.crt missing/);
  });

  it('is DKIM keys by selector', () => {
    assert.equal(problemOf('dkim', { s1: rsa, 'a.b': rsa }), undefined);
    assert.match(problemOf('dkim', {}) ?? '', /1 to 8 keys/);
    assert.match(problemOf('dkim', { no_selector: rsa }) ?? '', /unlike no_selector/);
    assert.match(problemOf('dkim', { s1: marker }) ?? '', /under s1 must be a private key in PEM/);
  });
});

it('a Secret that may not be read is told from one that is not there, and nothing of it is looked for', () => {
  const needed = { use: 'users', namespace: 'mail', name: 'u', path: 'spec.x' } as const;
  assert.equal(secretProblem(needed, 'Missing')?.reason, 'SecretNotFound');
  assert.equal(secretProblem(needed, 'Forbidden')?.reason, 'SecretNotReadable');
});
