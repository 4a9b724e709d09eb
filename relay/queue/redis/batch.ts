/**
 * Questions that go out in one write. Those for one script that takes several go as one question, which saves both sides most of what a question
 * costs besides its work. Redis takes some 16 KiB of a connection at a time, does what they ask and syncs its file before it goes on: a sync for
 * every few messages, when they are large. Between MULTI and EXEC (`together`) it does all of them at once, with one sync.
 *
 * When the server refuses one as it is queued (no memory, a slot that is elsewhere), none of that transaction runs, and all of it is asked again
 * one by one: `aborted`.
 */
import type { Argument, Command, Reply } from '../../redis/connection.ts';
import { faultOfReply, RedisFault } from '../../redis/errors.ts';

export type Result = Reply | RedisFault | 'aborted';

export interface Call {
  /** Up to the keys. */
  readonly head: Command;
  readonly args: readonly Argument[];
  /** Behind the arguments, once. */
  readonly tail?: readonly Argument[];
  /** The script takes the arguments of several calls, one after the other, and answers [now, verdict of each]. */
  readonly several?: boolean;
}

/** One command, and whose answer is in its own. */
interface Unit {
  readonly command: Command;
  readonly at: readonly number[];
  readonly several: boolean;
}

export interface Batch {
  readonly commands: readonly Command[];
  /** In the order of what was asked. */
  resultsIn(replies: readonly (Reply | RedisFault)[]): Result[];
}

export interface BatchOptions {
  readonly together: boolean;
  readonly merged: boolean;
}

/** One script does nothing else on the server for some milliseconds. */
const mostInOne = 100;

export function batchOf(asked: readonly Call[], { together, merged }: BatchOptions): Batch {
  const units = unitsOf(asked, merged);
  const order = together ? [...Map.groupBy(units, slotKeyOf).values()] : units.map(unit => [unit]);
  const commands = order.flatMap((group): Command[] => {
    const its = group.map(({ command }) => command);
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
        for (const [number, unit] of group.entries()) tellEach(unit, its[number] ?? null, results);
        from += length;
      }
      return results;
    },
  };
}

function unitsOf(asked: readonly Call[], merged: boolean): Unit[] {
  const units: Unit[] = [];
  const groups = Map.groupBy(asked.keys(), at => (merged && asked[at]?.several ? kindOf(asked[at]) : at));
  for (const group of groups.values())
    for (let from = 0; from < group.length; from += mostInOne)
      units.push(unitOf(asked, group.slice(from, from + mostInOne)));
  return units;
}

function unitOf(asked: readonly Call[], at: readonly number[]): Unit {
  const calls = at.map(one => asked[one]).filter(call => call !== undefined);
  const last = calls.at(-1);
  if (last === undefined) throw new Error('a unit has at least one call');
  const { head, tail = [], several = false } = last;
  return { command: [...head, ...calls.flatMap(({ args }) => args), ...tail], at, several };
}

/** What may go as one: the same script on the same partition. */
function kindOf({ head }: Call): string {
  return `${head[1]} ${head[3]}`;
}

/** In a Cluster a transaction has one slot: the first key of a script names its partition. */
function slotKeyOf({ command }: Unit): string {
  return String(command[3] ?? '');
}

/** As if each had been asked alone. */
function tellEach({ at, several }: Unit, result: Result, results: Result[]): void {
  for (const [number, asked] of at.entries())
    results[asked] = several && Array.isArray(result) ? ownOf(result, number) : result;
}

function ownOf(answer: readonly unknown[], number: number): Result {
  const verdict = answer[number + 1];
  return verdict instanceof Error ? faultOfReply(verdict) : ([answer[0], verdict] as Reply);
}

function transacted(replies: readonly (Reply | RedisFault)[]): Result[] {
  const queued = replies.slice(1, -1);
  // None was begun, as for a user who may not: each ran by itself.
  if (replies[0] instanceof RedisFault) return queued;
  const done = replies.at(-1) ?? null;
  if (done instanceof RedisFault) return queued.map(() => (done.message.startsWith('EXECABORT') ? 'aborted' : done));
  if (!Array.isArray(done)) return queued.map(() => new RedisFault('Unknown', 'EXEC answered what it never does'));
  return done.map((reply: unknown) => (reply instanceof Error ? faultOfReply(reply) : (reply as Reply)));
}
