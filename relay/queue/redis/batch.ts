/**
 * Questions that go out in one write. Redis takes some 16 KiB of a connection at a time, does what they ask and syncs its file before it goes on:
 * a sync for every few messages, when they are large. Between MULTI and EXEC (`together`) it does all of them at once, with one sync.
 *
 * When the server refuses one as it is queued (no memory, a slot that is elsewhere), none of that transaction runs, and all of it is asked again
 * one by one: `aborted`.
 */
import type { Command, Reply } from '../../redis/connection.ts';
import { faultOfReply, RedisFault } from '../../redis/errors.ts';

export type Result = Reply | RedisFault | 'aborted';

export interface Batch {
  readonly commands: readonly Command[];
  /** In the order of what was asked. */
  resultsIn(replies: readonly (Reply | RedisFault)[]): Result[];
}

export function batchOf(asked: readonly Command[], { together }: { readonly together: boolean }): Batch {
  const order = together
    ? [...Map.groupBy(asked.keys(), at => slotKeyOf(asked[at])).values()]
    : [...asked.keys()].map(at => [at]);
  const commands = order.flatMap((group): Command[] => {
    const its = group.map(at => asked[at]).filter(command => command !== undefined);
    return its.length === 1 ? its : [['MULTI'], ...its, ['EXEC']];
  });
  return {
    commands,
    resultsIn(replies) {
      const results: Result[] = [];
      let from = 0;
      for (const group of order) {
        const length = group.length === 1 ? 1 : group.length + 2;
        const its = group.length === 1 ? [replies[from] ?? null] : transacted(replies.slice(from, from + length));
        for (const [number, at] of group.entries()) results[at] = its[number] ?? null;
        from += length;
      }
      return results;
    },
  };
}

/** In a Cluster a transaction has one slot: the first key of a script names its partition. */
function slotKeyOf(command: Command | undefined): string {
  return String(command?.[3] ?? '');
}

function transacted(replies: readonly (Reply | RedisFault)[]): Result[] {
  const queued = replies.slice(1, -1);
  const done = replies.at(-1) ?? null;
  if (done instanceof RedisFault) return queued.map(() => (done.message.startsWith('EXECABORT') ? 'aborted' : done));
  if (!Array.isArray(done)) return queued.map(() => new RedisFault('Unknown', 'EXEC answered what it never does'));
  return done.map((reply: unknown) => (reply instanceof Error ? faultOfReply(reply) : (reply as Reply)));
}
