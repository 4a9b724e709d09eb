import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSafeEnvelope } from '../../../relay/deliver/command.ts';
import type { Claim } from '../../../relay/queue/queue.ts';
import { buildClaim, buildQueued } from '../../support/claim-builders.ts';

function envelope(forwardPath: string, orcpt?: string): Claim {
  return buildClaim({ recipients: [buildQueued({ forwardPath, ...(orcpt === undefined ? {} : { orcpt }) })] });
}

test('an envelope that could begin a command of its own is not sent', () => {
  assert.equal(isSafeEnvelope(envelope('a@dest.test', 'rfc822;a@dest.test')), true);
  assert.equal(isSafeEnvelope(envelope('"a b"@dest.test')), true);
  for (const bad of ['a@dest.test>\r\nRCPT TO:<b@dest.test', 'a\n@dest.test', 'a\u0000@dest.test']) {
    assert.equal(isSafeEnvelope(envelope(bad)), false);
    assert.equal(isSafeEnvelope(envelope('a@dest.test', bad)), false);
  }
  assert.equal(isSafeEnvelope(envelope('a@dest.test', 'rfc822;a NOTIFY=NEVER')), false);
});
