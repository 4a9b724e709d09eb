import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { connect, createServer } from 'node:tls';
import { type Certificate, mintAuthority, mintCertificate } from '../../../operator/mailrelay/certificate.ts';
import { authorityIsCurrent, isCurrent } from '../../../operator/mailrelay/certificate-policy.ts';

const nowMs = Date.now();
const dayMs = 86_400_000;
const names = { dnsNames: ['mail.example.com', 'localhost'], addresses: ['127.0.0.1', '::1'] };

async function minted(): Promise<{ authority: Certificate; leaf: Certificate }> {
  const authority = await mintAuthority('Authority of mail/outbound', nowMs);
  return { authority, leaf: await mintCertificate(authority, names, nowMs) };
}

async function handshake({
  leaf,
  ca,
  servername,
}: {
  leaf: Certificate;
  ca: string;
  servername: string;
}): Promise<boolean> {
  const server = createServer({ cert: leaf.certificate, key: leaf.privateKey }, socket => socket.end());
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, ca, servername });
  try {
    await once(socket, 'secureConnect');
    return socket.authorized;
  } finally {
    socket.destroy();
    server.close();
    await once(server, 'close');
  }
}

describe('a certificate of a relay’s own authority', () => {
  it('is trusted by a client that trusts the authority, for each of its names', async () => {
    const { authority, leaf } = await minted();
    for (const servername of names.dnsNames)
      assert.equal(await handshake({ leaf, ca: authority.certificate, servername }), true);
    const certificate = new X509Certificate(leaf.certificate);
    for (const address of names.addresses) assert.ok(certificate.checkIP(address));
    assert.equal(certificate.ca, false);
  });

  it('is not trusted for another name, nor by who trusts another authority', async () => {
    const { authority, leaf } = await minted();
    const other = await mintAuthority('Another', nowMs);
    await assert.rejects(handshake({ leaf, ca: authority.certificate, servername: 'other.example.com' }), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    await assert.rejects(handshake({ leaf, ca: other.certificate, servername: 'localhost' }));
  });

  it('serves until 30 days before its end, for the same names and authority', async () => {
    const { authority, leaf } = await minted();
    const current = (changes: { names?: typeof names; nowMs?: number }): boolean =>
      isCurrent(leaf, authority, { names, nowMs, ...changes });
    assert.equal(current({}), true);
    assert.equal(current({ nowMs: nowMs + 59 * dayMs }), true);
    assert.equal(current({ nowMs: nowMs + 61 * dayMs }), false);
    assert.equal(current({ names: { ...names, dnsNames: ['other.example.com'] } }), false);
    assert.equal(current({ names: { ...names, addresses: ['192.0.2.1'] } }), false);
    const other = await minted();
    assert.equal(isCurrent(leaf, other.authority, { names, nowMs }), false);
    assert.equal(isCurrent({ ...leaf, privateKey: other.leaf.privateKey }, authority, { names, nowMs }), false);
  });

  it('comes from an authority that outlives it', async () => {
    const { authority, leaf } = await minted();
    assert.equal(authorityIsCurrent(authority, nowMs), true);
    assert.equal(authorityIsCurrent(authority, nowMs + 3600 * dayMs), false);
    assert.equal(authorityIsCurrent(leaf, nowMs), false);
  });

  it('copes with host names that are longer than a common name may be', async () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`;
    const authority = await mintAuthority('x'.repeat(100), nowMs);
    const leaf = await mintCertificate(authority, { dnsNames: [long], addresses: [] }, nowMs);
    assert.equal(new X509Certificate(leaf.certificate).checkHost(long), long);
  });
});
