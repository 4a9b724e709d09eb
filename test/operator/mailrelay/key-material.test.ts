import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { mintAuthority, mintCertificate } from '../../../operator/mailrelay/certificate.ts';
import {
  authorityOverlapMs,
  type CertificateQuestion,
  certificateViolation,
  renewalReasons,
} from '../../../operator/mailrelay/certificate-policy.ts';
import {
  type KeptMaterial,
  keysSecret,
  type Mint,
  materialOf,
  noMaterial,
  renewMaterial,
  trustedAuthorities,
} from '../../../operator/mailrelay/key-material.ts';
import { storedRelay } from './relay-input.ts';

const startMs = Date.UTC(2026, 0, 1);
const dayMs = 86_400_000;
const names = { dnsNames: ['mail.example.com', 'outbound.mail.svc'], addresses: [] };

function mintAt(nowMs: number): Mint {
  return {
    authority: () => mintAuthority(`authority ${nowMs}`, nowMs),
    certificate: authority => mintCertificate(authority, names, nowMs),
    revisionKey: () => `key ${nowMs}`,
  };
}

async function renewed(kept: KeptMaterial, nowMs: number, wanted = names): Promise<KeptMaterial> {
  return (await renewMaterial(kept, { names: wanted, nowMs }, mintAt(nowMs))).kept;
}

function isTrusted(leaf: string, authorities: readonly string[]): boolean {
  const certificate = new X509Certificate(leaf);
  return authorities.some(one => {
    const issuer = new X509Certificate(one);
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  });
}

describe('what a relay keeps', () => {
  it('is made once, survives its Secret, and is then left alone', async () => {
    const first = await renewMaterial(noMaterial, { names, nowMs: startMs }, mintAt(startMs));
    assert.deepEqual(
      first.steps.map(({ reason }) => reason),
      ['AuthorityMissing', 'CertificateMissing'],
    );
    assert.equal(first.isNew, true);
    const { data = {} } = keysSecret(storedRelay(), first.kept);
    const stored = new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
    assert.deepEqual(materialOf(stored), first.kept);
    const second = await renewMaterial(materialOf(stored), { names, nowMs: startMs + dayMs }, mintAt(startMs + dayMs));
    assert.deepEqual(second, { kept: first.kept, steps: [], isNew: false });
  });

  it('is a key of revisions alone where the certificate comes from elsewhere', async () => {
    const { kept } = await renewMaterial(noMaterial, { names: undefined, nowMs: startMs }, mintAt(startMs));
    assert.deepEqual(kept, { ...noMaterial, revisionKey: `key ${startMs}` });
    assert.deepEqual(Object.keys(keysSecret(storedRelay(), kept).data ?? {}), ['revision.key']);
  });

  it('is never replaced when an authority cannot be read: clients trust it', async () => {
    const broken = { ...noMaterial, revisionKey: 'key', signing: { certificate: 'gone', privateKey: 'gone' } };
    await assert.rejects(renewed(broken, startMs));
  });
});

describe('eleven years of rotations', () => {
  it('leave no client behind that read the authorities within the overlap, and no certificate near its end', async () => {
    let kept = await renewed(noMaterial, startMs);
    const published: { readonly atMs: number; readonly authorities: readonly string[] }[] = [];
    const reasons = new Set<string>();
    const signers = new Set<string>();
    for (let nowMs = startMs; nowMs < startMs + 11 * 365 * dayMs; nowMs += 10 * dayMs) {
      const renewal = await renewMaterial(kept, { names, nowMs }, mintAt(nowMs));
      kept = renewal.kept;
      for (const { reason } of renewal.steps) reasons.add(reason);
      const leaf = kept.certificate?.certificate ?? '';
      signers.add(kept.signing?.certificate ?? '');
      published.push({ atMs: nowMs, authorities: trustedAuthorities(kept) });
      assert.ok(new X509Certificate(leaf).validToDate.getTime() > nowMs + 20 * dayMs, 'the certificate lasts');
      assert.ok(new X509Certificate(kept.signing?.certificate ?? '').validToDate.getTime() > nowMs + 90 * dayMs);
      for (const { authorities } of published.filter(({ atMs }) => atMs > nowMs - authorityOverlapMs))
        assert.ok(isTrusted(leaf, authorities), new Date(nowMs).toISOString());
    }
    assert.equal(signers.size, 2);
    assert.deepEqual([...reasons].sort(), [
      'AuthorityAnnounced',
      'AuthorityEnded',
      'AuthorityReplaced',
      'CertificateDue',
      'CertificateIssuerReplaced',
    ]);
  });

  it('control: an authority that is replaced at once would leave clients behind', async () => {
    const before = await renewed(noMaterial, startMs);
    const after = await renewed({ ...before, signing: undefined }, startMs + dayMs);
    assert.equal(isTrusted(after.certificate?.certificate ?? '', trustedAuthorities(before)), false);
  });

  it('publish both authorities before and after the step from one to the other', async () => {
    const before = await renewed(noMaterial, startMs);
    const announcedMs = startMs + 3441 * dayMs;
    const announced = await renewed(before, announcedMs);
    assert.equal(announced.signing?.certificate, before.signing?.certificate);
    const stepped = await renewed(announced, announcedMs + authorityOverlapMs);
    assert.equal(stepped.signing?.certificate, announced.next?.certificate);
    assert.deepEqual(new Set(trustedAuthorities(stepped)), new Set(trustedAuthorities(announced)));
    for (const leaf of [announced, stepped])
      assert.ok(isTrusted(leaf.certificate?.certificate ?? '', trustedAuthorities(stepped)));
  });
});

describe('a certificate is renewed', async () => {
  const authority = await mintAuthority('one', startMs);
  const other = await mintAuthority('two', startMs);
  const certificate = await mintCertificate(authority, names, startMs);
  const otherLeaf = await mintCertificate(authority, names, startMs);
  const question = { certificate, authority, names, nowMs: startMs };
  const cases: Readonly<Record<string, readonly [Partial<CertificateQuestion>, string | undefined]>> = {
    'not while all is well': [{}, undefined],
    'not a moment before it is due': [{ nowMs: startMs + 60 * dayMs - 1 }, undefined],
    'when it is due': [{ nowMs: startMs + 60 * dayMs }, 'CertificateDue'],
    'when there is none': [{ certificate: undefined }, 'CertificateMissing'],
    'when it cannot be read': [{ certificate: { ...certificate, certificate: 'none' } }, 'CertificateUnreadable'],
    'when its key cannot be read': [{ certificate: { ...certificate, privateKey: 'none' } }, 'CertificateUnreadable'],
    'when its key is another’s': [
      { certificate: { ...certificate, privateKey: otherLeaf.privateKey } },
      'CertificateKeyMismatch',
    ],
    'when another authority signs': [{ authority: other }, 'CertificateIssuerReplaced'],
    'when a name is missing': [{ names: { ...names, dnsNames: ['mx.example.com'] } }, 'CertificateNamesChanged'],
    'when an address is missing': [{ names: { ...names, addresses: ['192.0.2.1'] } }, 'CertificateNamesChanged'],
    'not when it has more names than are needed': [
      { names: { dnsNames: ['mail.example.com'], addresses: [] } },
      undefined,
    ],
  };
  for (const [name, [changes, reason]] of Object.entries(cases)) {
    it(name, () => {
      const violation = certificateViolation({ ...question, ...changes });
      assert.equal(violation?.reason, reason);
      if (violation !== undefined) assert.ok(Object.hasOwn(renewalReasons, violation.reason));
    });
  }
});
