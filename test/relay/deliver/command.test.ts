import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSafeEnvelope } from '../../../relay/deliver/command.ts';
import type { Claim } from '../../../relay/queue/queue.ts';

function envelope(forwardPath: string, orcpt?: string): Pick<Claim, 'message' | 'recipients'> {
  const path = { text: 'a@b.test', localPart: 'a', domain: 'b.test' };
  return {
    message: {
      id: 'id',
      sender: { reversePath: path, body: '7BIT', smtputf8: false, requireTls: false },
      tenant: 't',
      policy: null,
      receivedTimeMs: 0,
      expiryTimeMs: 0,
    },
    recipients: [
      {
        index: 0,
        forwardPath,
        domain: 'd',
        destination: 'd',
        notify: [],
        attempts: 0,
        delayWarned: false,
        ...(orcpt === undefined ? {} : { orcpt }),
      },
    ],
  };
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
