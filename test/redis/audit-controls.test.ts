/** That the audit over Redis sees what it is there to see. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runRedisAudit } from '../audit/redis-audit.ts';
import { programsMissing } from '../support/programs.ts';

const seed = Date.now() % 1_000_000;
const skip = programsMissing('redis-server', 'redis-cli');

test('control: the audit fails when relays acknowledge before the commit', { skip }, async t => {
  const report = await runRedisAudit({
    messages: 1_000_000,
    faults: 6,
    seed,
    seconds: 15,
    control: 'ack-before-commit',
  });
  for (const figure of report.figures) t.diagnostic(figure);
  assert.match(report.faults.join('; '), /neither delivered nor bounced/);
});

test('control: the audit fails when a relay that has lost its leases may settle', { skip }, async t => {
  const report = await runRedisAudit({ messages: 1_000_000, faults: 3, seed, seconds: 30, control: 'no-fencing' });
  for (const figure of report.figures) t.diagnostic(figure);
  assert.notDeepEqual(report.faults, []);
});
