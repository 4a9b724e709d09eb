/** That the audit over Redis sees what it is there to see: faults that the control cannot stand, with mail under way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RedisAuditReport, runRedisAudit } from '../audit/redis-audit.ts';
import type { RedisControl } from '../audit/redis-chaos.ts';
import { programsMissing } from '../support/programs.ts';

const seed = Date.now() % 1_000_000;
const skip = programsMissing('redis-server', 'redis-cli');
/** Faults end the sending, not this. */
const seconds = 300;

async function audited(control: RedisControl, faults: number, tell: (line: string) => void): Promise<RedisAuditReport> {
  const say = (line: string): void => console.log(line);
  const report = await runRedisAudit({ messages: 1_000_000, faults, seed, seconds, control, say });
  for (const figure of report.figures) tell(figure);
  return report;
}

test('control: the audit fails when relays acknowledge before the commit', { skip }, async t => {
  const report = await audited('ack-before-commit', 4, line => t.diagnostic(line));
  assert.match(report.faults.join('; '), /neither delivered nor bounced/);
});

test('control: the audit fails when a relay that has lost its leases may settle', { skip }, async t => {
  const report = await audited('no-fencing', 2, line => t.diagnostic(line));
  t.diagnostic(report.faults.join('; '));
  assert.match(report.faults.join('; '), /conservation|arrived twice/);
});
