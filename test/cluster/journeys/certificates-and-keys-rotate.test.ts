/** Certificate and DKIM keys are replaced under load: every handshake succeeds, and every message that arrives is signed by a key of each algorithm, whose records are there. */
import assert from 'node:assert/strict';
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { domainPolicies } from '../../../operator/cluster/kinds.ts';
import { verifyWithMailauth } from '../../support/dkim-verifiers.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { journey } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { LoadedRelay, publishedAuthority, sampleDomain, serviceAddress } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';
import { startDomainOwner } from '../outside/domain-owner.ts';
import { startHandshakes } from '../outside/handshakes.ts';
import { startInternet } from '../outside/internet.ts';

/** One of ten messages is looked at. */
const domains = [...Array.from({ length: 9 }, () => 'next.example'), sampleDomain];
const algorithms = ['RSA2048', 'Ed25519'];
const limit = { limitMs: 120_000, everyMs: 250 };

journey(
  'certificate and DKIM keys rotate under load, and no handshake fails and no message is unsigned',
  async (cluster, t) => {
    await using internet = await startInternet();
    await using owner = startDomainOwner({ cluster, internet, namespace, policy: 'example', domain: 'example.com' });
    const dkim = { type: 'Managed', managed: { algorithms } };
    await using relay = await LoadedRelay.start(cluster, t, { domains, policy: { dkim } });
    const first = await waitUntil('all keys to sign at every pod', signing, limit);
    const firstSigned = relay.load.next();

    const ca = await publishedAuthority(cluster);
    const [host, servername] = [await serviceAddress(cluster), `outbound.${namespace}.svc`];
    await using handshakes = startHandshakes({ host, port: 465, servername, ca });
    await waitUntil('handshakes', () => handshakes.byCertificate.size === 1, limit);

    // docs/how-to/certificates.md
    const renew = '[{"op":"remove","path":"/data/certificate.crt"}]';
    await cluster.shell(`kubectl -n ${namespace} patch secret outbound-relay-keys --type json --patch '${renew}'`);
    await waitUntil('another certificate to be presented', () => handshakes.byCertificate.size > 1, limit);
    await relay.whole();

    // docs/how-to/watch-a-dkim-rotation.md
    await cluster.shell(
      `kubectl -n ${namespace} annotate domainpolicy example --overwrite postroad.dev/rotate-keys='seen in a log'`,
    );
    await waitUntil(
      'other keys to sign',
      async () => (await signing())?.every(selector => !first.includes(selector)),
      limit,
    );
    await relay.flows(500);

    const outcome = await relay.outcome();
    const seen = [...handshakes.byCertificate].map(([serial, count]) => `${serial.slice(-6)} ${count}`).join(', ');
    t.diagnostic(`handshakes by certificate: ${seen}; failed ${handshakes.failures.length}`);
    assert.deepEqual(handshakes.failures, []);
    assert.equal(handshakes.byCertificate.size, 2);

    const counts = new Map<string, number>();
    const bad: string[] = [];
    for (const { content, timeMs, recipient } of (await relay.sink.record()).contents) {
      if (numberOf(recipient) < firstSigned) continue;
      const verdicts = await verifyWithMailauth(content, owner.recordsAt(timeMs));
      for (const selector of Object.keys(verdicts)) counts.set(selector, (counts.get(selector) ?? 0) + 1);
      const signatures = Object.values(verdicts);
      if (signatures.length !== algorithms.length || !signatures.every(Boolean))
        bad.push(`${recipient}: ${JSON.stringify(verdicts)}`);
    }
    t.diagnostic(
      `signatures looked at, by selector: ${[...counts].map(([selector, count]) => `${selector} ${count}`).join(', ')}`,
    );
    assert.deepEqual(bad, []);
    assert.equal(counts.size, 2 * algorithms.length);
    assertNothingLost(t, outcome);

    /** The selectors of the keys that sign, once there is one of each algorithm and all pods run with them: all of it from one look. */
    async function signing(): Promise<readonly string[] | undefined> {
      const { status } = await cluster.read<DomainPolicy>(domainPolicies, { namespace, name: 'example' });
      const isTrue = (wanted: string): boolean =>
        status?.conditions?.some(({ type, status: value }) => type === wanted && value === 'True') === true;
      const keys = status?.dkim?.keys ?? [];
      const active = keys.flatMap(({ selector, state }) => (state === 'Active' ? [selector] : []));
      return isTrue('DKIMReady') && isTrue('Programmed') && active.length === algorithms.length ? active : undefined;
    }
  },
);

/** Of the message that it is a recipient of: `r42-0@sample.example`. */
function numberOf(recipient: string): number {
  return Number(/^r(\d+)-/.exec(recipient)?.[1]);
}
