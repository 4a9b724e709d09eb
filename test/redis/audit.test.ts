import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runRedisAudit } from '../audit/redis-audit.ts';
import { programsMissing } from '../support/programs.ts';

const seed = Date.now() % 1_000_000;
const skip = programsMissing('redis-server', 'redis-cli');

test('nothing acknowledged is lost while relays and their Redis are killed and stopped again and again', {
  skip,
}, async t => {
  const say = (line: string): void => console.log(line);
  const report = await runRedisAudit({ messages: 1_000_000, faults: 8, seed, seconds: 40, say });
  for (const figure of report.figures) t.diagnostic(figure);
  assert.deepEqual(report.faults, []);
  assert.ok(report.accepted > 500, `only ${report.accepted} recipients were acknowledged`);
  assert.ok(report.bounced > 0 && report.delivered > 0);
});
