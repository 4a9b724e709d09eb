import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAudit } from './audit.ts';

const seed = Date.now() % 1_000_000;

test('nothing acknowledged is lost and no duplicate is unexplained while the relay is killed again and again', async t => {
  const report = await runAudit({ messages: 1_000_000, kills: 12, seed, seconds: 30 });
  for (const figure of report.figures) t.diagnostic(figure);
  assert.deepEqual(report.faults, []);
  assert.ok(report.accepted > 1000, `only ${report.accepted} recipients were acknowledged`);
  assert.ok(report.bounced > 0 && report.delivered > 0);
});

test('control: the audit fails when the relay acknowledges before the commit', async t => {
  const report = await runAudit({ messages: 1_000_000, kills: 4, seed, seconds: 8, control: 'ack-before-commit' });
  for (const figure of report.figures) t.diagnostic(figure);
  assert.ok(report.lost.length > 0, 'nothing was lost, so the audit could not show that it would see it');
  assert.match(report.faults.join('; '), /neither delivered nor bounced/);
});
