/**
 * Looks at recipients by filter, in the order of arrival, a slice at a time: with 1,000,000 queued, a hold of all of them in one
 * transaction would keep every 250 waiting and swell the log. The main thread asks for slice after slice.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { RecipientState } from '../queue.ts';
import { damaged, int, type Row, text } from './columns.ts';
import type { Memory } from './memory.ts';
import { stateNames, stateNumber } from './schema.ts';
import type { Position, Scan } from './wire.ts';

/** Rows that one slice looks at: some 5 ms. */
const sliceRows = 4000;

export interface Scanned {
  readonly rows: readonly Row[];
  /** Where to read on; undefined at the end of the table. */
  readonly next: Position | undefined;
}

/** Matching rows among up to `limit` of the next slice. */
export type ScanSlice = (scan: Scan, limit: number) => Scanned;

const beginning: Position = { id: '', index: -1 };

export function createScan(db: DatabaseSync, memory: Memory): ScanSlice {
  const statements = new Map<string, StatementSync>();
  const boundary = db.prepare(
    `SELECT id, idx FROM recipient WHERE (id, idx) > (?, ?) ORDER BY id, idx LIMIT 1 OFFSET ${sliceRows - 1}`,
  );

  function select(range: string, conditions: Conditions): StatementSync {
    const sql = `SELECT * FROM recipient WHERE ${[range, ...conditions.sql].join(' AND ')} ORDER BY id, idx LIMIT ?`;
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(sql);
    statements.set(sql, statement);
    return statement;
  }

  function byIds(ids: readonly string[], scan: Scan, limit: number): Scanned {
    const conditions = conditionsOf(scan);
    const statement = select('id = ? AND idx > ?', conditions);
    const after = scan.after ?? beginning;
    const rows: Row[] = [];
    for (const id of [...new Set(ids)].sort(byCodeUnit)) {
      if (id < after.id) continue;
      const index = id === after.id ? after.index : -1;
      rows.push(...statement.all(id, index, ...conditions.values, limit - rows.length));
      if (rows.length >= limit) return { rows, next: lastOf(rows) };
    }
    return { rows, next: undefined };
  }

  /** Up to `limit` rows whose state on disk does not speak against them. */
  function candidates(scan: Scan, limit: number): Scanned {
    if (scan.ids !== undefined) return byIds(scan.ids, scan, limit);
    const after = scan.after ?? beginning;
    const end = boundary.get(after.id, after.index);
    const conditions = conditionsOf(scan);
    const from: SQLInputValue[] = [after.id, after.index];
    const rows =
      end === undefined
        ? select('(id, idx) > (?, ?)', conditions).all(...from, ...conditions.values, limit)
        : select('(id, idx) > (?, ?) AND (id, idx) <= (?, ?)', conditions).all(
            ...from,
            text(end, 'id'),
            int(end, 'idx'),
            ...conditions.values,
            limit,
          );
    if (rows.length >= limit) return { rows, next: lastOf(rows) };
    return { rows, next: end === undefined ? undefined : positionOf(end) };
  }

  return (scan, limit) => {
    const { rows, next } = candidates(scan, limit);
    const { state } = scan;
    return { rows: state === undefined ? rows : rows.filter(row => stateOf(row, memory) === state), next };
  };
}

export function stateOf(row: Row, memory: Memory): RecipientState {
  const state = stateNames[int(row, 'state')] ?? damaged('state');
  return state === 'Waiting' && memory.isLeased(text(row, 'id'), int(row, 'idx')) ? 'Leased' : state;
}

interface Conditions {
  readonly sql: readonly string[];
  readonly values: readonly SQLInputValue[];
}

function conditionsOf({ state, tenant, domain, receivedBeforeMs }: Scan): Conditions {
  const asked: [sql: string, value: SQLInputValue | undefined][] = [
    // Leased may say Waiting on disk (memory.ts).
    ['state <= ?', state === 'Leased' ? stateNumber.Leased : undefined],
    ['state = ?', state === undefined || state === 'Leased' ? undefined : stateNumber[state]],
    ['tenant = ?', tenant],
    ['domain = ?', domain],
    ['received < ?', receivedBeforeMs],
  ];
  const sql: string[] = [];
  const values: SQLInputValue[] = [];
  for (const [condition, value] of asked) {
    if (value === undefined) continue;
    sql.push(condition);
    values.push(value);
  }
  return { sql, values };
}

export function positionOf(row: Row): Position {
  return { id: text(row, 'id'), index: int(row, 'idx') };
}

function lastOf(rows: readonly Row[]): Position | undefined {
  const last = rows.at(-1);
  return last === undefined ? undefined : positionOf(last);
}

/** SQLite compares text by its UTF-8 bytes; for the ASCII of ids that is the same. */
function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
