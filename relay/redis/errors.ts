/**
 * Why Redis did not do what it was asked.
 *
 *   NotDone  it did not run: ask again when `delayMs` have passed
 *   Unknown  the answer is lost: it may have run
 *   Full     refused, for want of memory or disk
 *   Refused  anything else that the server says; asking again would not help
 */
export type RedisFaultKind = 'NotDone' | 'Unknown' | 'Full' | 'Refused';

export class RedisFault extends Error {
  override name = 'RedisFault';
  readonly kind: RedisFaultKind;
  /** The slot is at another server, or its servers changed. */
  readonly moved: boolean;
  /** The script is not loaded. */
  readonly noScript: boolean;

  constructor(kind: RedisFaultKind, text: string, more: { moved?: boolean; noScript?: boolean; cause?: unknown } = {}) {
    super(text, more.cause === undefined ? undefined : { cause: more.cause });
    this.kind = kind;
    this.moved = more.moved ?? false;
    this.noScript = more.noScript ?? false;
  }
}

const notDone = new Set([
  'NOSCRIPT',
  'READONLY',
  'LOADING',
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'NOREPLICAS',
  'BUSY',
  'UNBLOCKED',
]);
const moves = new Set(['MOVED', 'ASK', 'CLUSTERDOWN', 'READONLY']);
const full = new Set(['OOM', 'MISCONF']);

/** Of an error that the server answered with. */
export function faultOfReply(error: Error): RedisFault {
  const [code = ''] = error.message.split(' ', 1);
  if (full.has(code)) return new RedisFault('Full', error.message, { cause: error });
  if (!notDone.has(code)) return new RedisFault('Refused', error.message, { cause: error });
  return new RedisFault('NotDone', error.message, {
    moved: moves.has(code),
    noScript: code === 'NOSCRIPT',
    cause: error,
  });
}
