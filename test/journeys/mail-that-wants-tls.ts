/** What journeys have in common in which a DomainPolicy demands TLS of the way out. */
import assert from 'node:assert/strict';
import type { RelayConfigInput } from '../../relay/config.ts';
import { RawClient } from '../support/raw-client.ts';
import { metric, type RelayProcess } from '../support/relay-process.ts';
import { waitUntil } from '../support/wait-until.ts';

const limitMs = 30_000;
const failures = 'postroad_deliver_attempts_total{outcome="Deferred",reason="TlsFailed"}';

export async function sendOne(relay: RelayProcess): Promise<void> {
  const client = await RawClient.open(relay.port());
  const content = Buffer.from('From: a@example.com\r\nSubject: hello\r\n\r\nhello\r\n');
  const { outcome } = await client.send({ reversePath: 'a@example.com', recipients: ['b@next.example'], content });
  assert.equal(outcome, 'accepted');
  await client.quit();
}

/** It was tried at least so often, and TLS was what failed. */
export async function untilTlsFailsAgain(relay: RelayProcess): Promise<void> {
  const before_ = metric(await relay.metrics(), failures);
  await waitUntil('it is tried twice more', async () => metric(await relay.metrics(), failures) >= before_ + 2, {
    limitMs,
  });
}

export async function reconfigure(relay: RelayProcess, config: RelayConfigInput): Promise<void> {
  await relay.configure(config);
  const name = `postroad_config_revision_info{revision="${config.revision}"}`;
  await waitUntil(`revision ${config.revision}`, async () => (await relay.metrics()).has(name), { limitMs });
}
