/** What people ask of the queue: hold, release, retry now, list, count, stats. */
import type { DatabaseSync } from 'node:sqlite';
import type { QueueEntry, QueueStats, RecipientState } from '../queue.ts';
import { damaged, decodeNotify, decodeReply, decodeSender, int, type Row, text, textOrNull } from './columns.ts';
import type { DueRecipients } from './due.ts';
import type { Memory } from './memory.ts';
import { createScan, positionOf, stateOf } from './scan.ts';
import type { ListSlice, Move, Scan, Slice } from './wire.ts';

/** Recipients that one transaction moves. */
const moveRows = 1000;

const moves = {
  hold: { from: 'Waiting', to: 'Held' },
  release: { from: 'Held', to: 'Waiting' },
  retryNow: { from: 'Waiting', to: 'Waiting' },
} as const satisfies Record<Move, { from: RecipientState; to: RecipientState }>;

export interface Administration {
  move(move: Move, scan: Scan, nowMs: number): Slice;
  count(scan: Scan): Slice;
  list(scan: Scan, limit: number): ListSlice;
  stats(nowMs: number): QueueStats;
}

export function createAdministration(db: DatabaseSync, memory: Memory, due: DueRecipients): Administration {
  const scanSlice = createScan(db, memory);
  const hold = db.prepare('UPDATE recipient SET state = 2 WHERE id = ? AND idx = ?');
  const wait = db.prepare('UPDATE recipient SET state = 0, due = ? WHERE id = ? AND idx = ?');
  const selectMessage = db.prepare('SELECT policy, received, expiry, sender, size FROM message WHERE seq = ?');

  function moveRow(row: Row, move: Move, nowMs: number): void {
    const { id, index } = positionOf(row);
    memory.touch(text(row, 'tenant'), text(row, 'destination'));
    if (move === 'hold') hold.run(id, index);
    // Who is due already keeps its time: the age of the oldest due recipient is an alarm.
    else wait.run(move === 'retryNow' ? Math.min(nowMs, int(row, 'due')) : nowMs, id, index);
  }

  function entryOf(row: Row): QueueEntry {
    const message = selectMessage.get(int(row, 'seq')) ?? damaged('a recipient of a message that is not there');
    const orcpt = textOrNull(row, 'orcpt');
    return {
      id: text(row, 'id'),
      ...decodeSender(text(message, 'sender')),
      tenant: text(row, 'tenant'),
      policy: textOrNull(message, 'policy'),
      receivedTimeMs: int(message, 'received'),
      expiryTimeMs: int(message, 'expiry'),
      sizeBytes: int(message, 'size'),
      index: int(row, 'idx'),
      forwardPath: text(row, 'path'),
      domain: text(row, 'domain'),
      destination: text(row, 'destination'),
      notify: decodeNotify(int(row, 'notify')),
      attempts: int(row, 'attempts'),
      delayWarned: int(row, 'delay_warned') === 1,
      state: stateOf(row, memory),
      nextAttemptTimeMs: int(row, 'due'),
      lastReason: textOrNull(row, 'reason'),
      lastReply: decodeReply(textOrNull(row, 'reply')),
      ...(orcpt === null ? {} : { orcpt }),
    };
  }

  return {
    move(move, scan, nowMs) {
      const { from, to } = moves[move];
      if (scan.state !== undefined && scan.state !== from) return { matched: 0 };
      const { rows, next } = scanSlice({ ...scan, state: from }, moveRows);
      for (const row of rows) moveRow(row, move, nowMs);
      for (const [tenant, destination] of slotsOf(rows)) {
        memory.ready.set(tenant, destination, due.earliest(tenant, destination));
      }
      memory.counters[from] -= rows.length;
      memory.counters[to] += rows.length;
      return slice(rows.length, next);
    },

    count(scan) {
      const { ids, domain, tenant, receivedBeforeMs, state } = scan;
      if (ids === undefined && domain === undefined && tenant === undefined && receivedBeforeMs === undefined) {
        const { Waiting, Leased, Held } = memory.counters;
        return { matched: state === undefined ? Waiting + Leased + Held : memory.counters[state] };
      }
      const { rows, next } = scanSlice(scan, Number.MAX_SAFE_INTEGER);
      return slice(rows.length, next);
    },

    list(scan, limit) {
      const { rows, next } = scanSlice(scan, limit);
      const entries = rows.map(entryOf);
      return next === undefined ? { entries } : { entries, next };
    },

    stats(nowMs) {
      const { accepted, delivered, failed, discarded, Waiting, Leased, Held } = memory.counters;
      return {
        totals: { accepted, delivered, failed, discarded },
        depth: { Waiting, Leased, Held },
        oldestDueTimeMs: memory.ready.oldestDueTimeMs(nowMs),
      };
    },
  };
}

function slice(matched: number, next: Slice['next']): Slice {
  return next === undefined ? { matched } : { matched, next };
}

/** Each tenant and destination among the rows, once. */
function slotsOf(rows: readonly Row[]): [tenant: string, destination: string][] {
  const slots = new Map<string, [string, string]>();
  for (const row of rows) {
    const tenant = text(row, 'tenant');
    const destination = text(row, 'destination');
    slots.set(`${tenant}\n${destination}`, [tenant, destination]);
  }
  return [...slots.values()];
}
