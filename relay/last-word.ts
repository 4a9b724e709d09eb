/**
 * What a relay says of its queue at an orderly end, when nothing more can come into it. kubelet puts it into the status of the relay's pod
 * (docs/decisions/0004-how-a-relay-goes.md).
 */
import { open } from 'node:fs/promises';

/** Where nobody made the file, nobody would read it. @throws Error when it cannot be written. */
export async function sayLastWord(file: string, queuedRecipients: number): Promise<void> {
  const word = queuedRecipients === 0 ? { queue: 'Empty' } : { queue: 'Holds', recipients: queuedRecipients };
  try {
    await using handle = await open(file, 'r+');
    await handle.truncate();
    await handle.write(JSON.stringify(word));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
}
