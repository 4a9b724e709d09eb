import assert from 'node:assert/strict';
import { RawClient } from '../support/raw-client.ts';
import { type SampleMail, sampleMail } from './sample-mail.ts';

export type SampleNote = Omit<SampleMail, 'wire'>;

/** Sends the first `count` sample messages over several sessions; returns what to expect of each, by recipient. */
export async function sendSamples(port: number, seed: number, count: number): Promise<Map<string, SampleNote>> {
  const notes = new Map<string, SampleNote>();
  let next = 0;
  async function session(): Promise<void> {
    const client = await RawClient.open(port);
    while (next < count) {
      const { wire, ...note } = sampleMail(seed, next++);
      const mail = { reversePath: 'sample@example.com', recipients: [note.recipient], mailParameters: 'BODY=8BITMIME' };
      const result = await client.send({ ...mail, content: wire });
      assert.equal(result.outcome, 'accepted', JSON.stringify(result));
      notes.set(note.recipient, note);
    }
    await client.quit();
  }
  await Promise.all(Array.from({ length: 10 }, session));
  return notes;
}

/** The fields that a message began with are its last ones, unchanged; what relays add stands above. */
export function assertUntouched(
  note: SampleNote,
  received: { readonly header: string; readonly bodySha256: string },
): void {
  assert.equal(received.bodySha256, note.bodySha256, `the body to ${note.recipient}`);
  assert.equal(received.header.slice(-note.header.length), note.header, `the header to ${note.recipient}`);
}
