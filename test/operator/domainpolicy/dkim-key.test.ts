import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { dkimKeyOf, mintDkimKey } from '../../../operator/domainpolicy/dkim-key.ts';

const pkcs8 = {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
} as const;

function publicPart(recordValue: string): Buffer {
  return Buffer.from(/p=([A-Za-z0-9+/=]+)$/.exec(recordValue)?.[1] ?? '', 'base64');
}

describe('a DKIM key', () => {
  it('of RSA publishes a key that verifies what it signed (RFC 6376 s3.6.1)', async () => {
    const key = dkimKeyOf(await mintDkimKey('RSA2048'));
    assert.match(key.recordValue, /^v=DKIM1; k=rsa; p=/);
    const published = createPublicKey({ key: publicPart(key.recordValue), format: 'der', type: 'spki' });
    assert.equal(published.asymmetricKeyDetails?.modulusLength, 2048);
    const data = Buffer.from('data');
    assert.ok(verify('sha256', data, published, sign('sha256', data, key.privateKeyPem)));
  });

  it('of Ed25519 publishes the bare 32 octets (RFC 8463 s4)', async () => {
    const key = dkimKeyOf(await mintDkimKey('Ed25519'));
    assert.match(key.recordValue, /^v=DKIM1; k=ed25519; p=/);
    const bare = publicPart(key.recordValue);
    assert.equal(bare.length, 32);
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), bare]);
    const published = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const data = Buffer.from('data');
    assert.ok(verify(null, data, published, sign(null, data, key.privateKeyPem)));
  });

  it('has a selector of its own that is a DNS label, and the same one each time', async () => {
    const [one, other] = await Promise.all([mintDkimKey('Ed25519'), mintDkimKey('Ed25519')]);
    assert.match(dkimKeyOf(one).selector, /^[a-z][a-z0-9]{1,62}$/);
    assert.equal(dkimKeyOf(one).selector, dkimKeyOf(one).selector);
    assert.notEqual(dkimKeyOf(one).selector, dkimKeyOf(other).selector);
    assert.equal(dkimKeyOf(one, 'given').selector, 'given');
  });

  it('must be strong and of a kind that receivers know, and a refusal does not repeat it', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024, ...pkcs8 }).privateKey;
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256', ...pkcs8 }).privateKey;
    const rightKind = /^must be an RSA key of 2048 to 4096 bits or an Ed25519 key$/;
    assert.throws(() => dkimKeyOf(weak), { message: rightKind });
    assert.throws(() => dkimKeyOf(ec), { message: rightKind });
    assert.throws(() => dkimKeyOf('-----BEGIN PRIVATE KEY-----\nhunter2\n'), {
      message: 'must be a private key in PEM, without a passphrase',
    });
  });
});
