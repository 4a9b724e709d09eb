import type { Position } from './wire.ts';

/** `<index>.<id>`: where a page of a list ended. Safe in a URL as long as ids are. */
export function formatCursor(entry: Position | undefined): string | undefined {
  return entry === undefined ? undefined : `${entry.index}.${entry.id}`;
}

/** @throws RangeError for what was never a cursor; it comes from outside, by way of the admin API */
export function parseCursor(cursor: string): Position {
  const dot = cursor.indexOf('.');
  const index = Number(cursor.slice(0, Math.max(0, dot)));
  if (dot < 1 || !Number.isSafeInteger(index) || index < 0) throw new RangeError('This is not the end of any page.');
  return { id: cursor.slice(dot + 1), index };
}
