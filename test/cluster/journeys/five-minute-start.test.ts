/** The README's steps in a cluster, as they stand there: from nothing to a message that a stranger's host takes and whose signatures hold. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { verifyWithDkimpy, verifyWithMailauth } from '../../support/dkim-verifiers.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cluster } from '../cluster.ts';
import { commandsOf, inBackground, withImage } from '../documented.ts';
import { journey } from '../journey.ts';
import { type Internet, startInternet } from '../outside/internet.ts';

const section = 'In a cluster';
const applies = 'kubectl apply -f examples/quickstart/';
const hasRecords = 'jq -r ';
const forwards = ' port-forward ';
const limitMs = 10 * 60_000;

journey(
  'the README leads from nothing to a delivered message with signatures that hold, within five minutes',
  async (cluster, t) => {
    await using internet = await startInternet();
    await internet.serve('example.com', ['mail A 203.0.113.10']);
    await internet.serve('example.net', ['@ MX 10 mx1', 'mx1 A 198.51.100.25']);
    const host = await internet.mailHost('198.51.100.25');
    await using background = new AsyncDisposableStack();
    const startedMs = performance.now();
    let accepted: Promise<number> | undefined;

    for (const documented of await commandsOf('README.md', section)) {
      const command = withImage(documented, cluster);
      if (command.startsWith('kubectl create namespace mail')) {
        await cluster.shell(command);
        await cluster.adoptNamespace('mail');
        // Otherwise what is measured below would be the operator's start as well.
        await cluster.kubectl.must(['-n', 'postroad-system', 'rollout', 'status', 'deployment/postroad']);
      } else if (command.includes(forwards)) {
        const running = await inBackground(command);
        background.defer(async () => void (await running.stop('SIGTERM')));
      } else {
        if (command.startsWith(applies)) accepted = firstAccepted(performance.now());
        const output = await cluster.shell(command);
        if (command.includes(hasRecords)) await internet.serve('example.com', output.split('\n'));
      }
    }

    const delivered = await waitUntil('the message at its host', async () => (await host.delivered())[0], {
      limitMs: 60_000,
      everyMs: 100,
    });
    const seconds = (performance.now() - startedMs) / 1000;
    const verdicts = await verdictsOf(await readFile(delivered), cluster, internet);
    // A policy is Ready from the first key on that signs: the second one's signature may be there by then.
    assert.notEqual(verdicts.mailauth.length, 0);
    for (const held of [...verdicts.mailauth, ...verdicts.dkimpy]) assert.equal(held, true);
    assert.equal(verdicts.dkimpy.length, verdicts.mailauth.length);
    assert.ok(seconds < 300, `${seconds.toFixed(0)} s`);
    t.diagnostic(`from helm install to the delivered message: ${seconds.toFixed(0)} s`);
    t.diagnostic(`from kubectl apply of a MailRelay to its first accepted message: ${await accepted} s`);
  },
  limitMs,
);

/** Seconds since `startedMs` until the relay takes a message, by the name and port that its clients use. */
async function firstAccepted(startedMs: number): Promise<number> {
  const auth = { user: 'demo', pass: 'postroad-demo' };
  await waitUntil(
    'the relay to accept a message',
    async () => {
      const transport = createTransport({
        ...{ host: 'outbound.mail', port: 587, requireTLS: true, auth },
        ...{ connectionTimeout: 1000, greetingTimeout: 2000, dnsTimeout: 1000, tls: { rejectUnauthorized: false } },
      });
      try {
        await transport.sendMail({ from: 'me@example.com', to: 'first@example.net', subject: 'first', text: 'first' });
        return true;
      } catch (error) {
        // The Service, its pods and its users come one after the other.
        if (error instanceof Error && 'code' in error) return false;
        throw error;
      } finally {
        transport.close();
      }
    },
    { limitMs: 120_000, everyMs: 50 },
  );
  return Number(((performance.now() - startedMs) / 1000).toFixed(1));
}

interface Verdicts {
  readonly mailauth: readonly boolean[];
  readonly dkimpy: readonly boolean[];
}

/** Of each signature whether it holds, by two verifiers with the keys that the zone serves. */
async function verdictsOf(message: Buffer, { get }: Cluster, { texts }: Internet): Promise<Verdicts> {
  const policy = await get<DomainPolicy>('domainpolicy', 'example', '-n', 'mail');
  const records: Record<string, string> = {};
  for (const { purpose, name } of policy.status?.dnsRecords ?? []) {
    if (purpose === 'DKIM') records[name] = (await texts(name)).join('');
  }
  // As it came: Postfix keeps messages with the line ends of this system.
  const wire = Buffer.from(message.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');
  const [mailauth, [dkimpy = {}]] = [await verifyWithMailauth(wire, records), await verifyWithDkimpy([wire], records)];
  return { mailauth: Object.values(mailauth), dkimpy: Object.values(dkimpy) };
}
