/** Whether mail is taken: by some partitions where there are several, since a client that is refused for one comes again with another. */
import { inTime } from './attention.ts';
import type { Asking } from './conversation.ts';
import { isUnavailable, type OnAbsent } from './errors.ts';
import type { Partition } from './keys.ts';

export interface ProbeParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly onAbsent?: OnAbsent;
}

/** @throws QueueFullError, QueueStoreError */
export async function probeAll({ conversation, partitions, onAbsent }: ProbeParts): Promise<void> {
  const options = { durable: true, repeatable: true };
  let taken = 0;
  const faults: Error[] = [];
  const asks = partitions.map(async partition => {
    try {
      await conversation.ask({ partition, script: 'probe', asked: {} }, options);
      taken += 1;
    } catch (error) {
      // Of one that is away nobody knows more; a server that would not keep mail, or has no room, is somebody's to mend.
      if (!isUnavailable(error)) throw error;
      faults.push(error);
    }
  });
  if (!(await inTime(asks)) && taken === 0) await Promise.all(asks);
  const [fault] = faults;
  if (fault === undefined) return;
  if (taken === 0) throw fault;
  onAbsent?.('probe', fault);
}
