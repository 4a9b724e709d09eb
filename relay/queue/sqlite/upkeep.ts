/**
 * A checkpoint copies the log into the database and lets the log be overwritten from its head. It runs after a batch was
 * answered, so nobody's 250 waits for it, but the next batch may. Where claims come, it waits for the next one, as long as the
 * log has room, and so does the giving back of pages: what follows a claim are its settlements, for which nobody waits, while the claim that follows settlements would wait.
 *
 * How often follows from how long the last one took. Mail that comes and goes leaves its pages to the next before they are
 * ever copied: 1,000 frames take 2 ms, and less often is cheaper. A backlog that fills or drains touches a new page with each
 * frame: 1,000 take 20-60 ms, and four times 250 cost no more together, so a claim never waits long behind one.
 */
import type { DatabaseSync } from 'node:sqlite';
import { int } from './columns.ts';
import { isFull } from './errors.ts';

const wantedMs = 5;
const fewestFrames = 192;
/** Batches. */
const claimsComeWithin = 32;
/** Looks for unused pages once in so many batches. */
const lookEvery = 64;
/** What a backlog left is kept for the next one up to 64 MiB or a quarter of the file; the rest goes back to the file system. */
const keptPages = 4096;
const pagesAtOnce = 128;

export interface Upkeep {
  /** To be called after each batch was answered; `claimed`: it held a claim. */
  run(claimed: boolean): void;
  /**
   * The log could not be copied because the disk is full. What is left of it belongs to settlements, which make room: messages
   * have to wait until a copy succeeds.
   */
  readonly stuck: boolean;
}

export function createUpkeep(db: DatabaseSync, mostFrames: number): Upkeep {
  const length = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  const unusedPages = db.prepare('PRAGMA freelist_count');
  const allPages = db.prepare('PRAGMA page_count');
  const half = Math.ceil(mostFrames / 2);
  const leastFrames = Math.min(fewestFrames, mostFrames);
  let frames = mostFrames;
  let batches = 0;
  let sinceClaim = Number.POSITIVE_INFINITY;
  let stuck = false;

  function checkpoint(): void {
    const began = performance.now();
    copy.get();
    stuck = false;
    const tookMs = performance.now() - began;
    if (tookMs > 2 * wantedMs) frames = Math.max(leastFrames, Math.floor(frames / 2));
    else if (tookMs < wantedMs) frames = Math.min(mostFrames, Math.ceil(frames * 1.25));
  }

  function dueAt(claimed: boolean): number {
    sinceClaim = claimed ? 0 : sinceClaim + 1;
    if (claimed) return Math.min(frames, half);
    return sinceClaim < claimsComeWithin ? mostFrames : frames;
  }

  function reclaim(): void {
    batches = 0;
    const unused = int(unusedPages.get() ?? {}, 'freelist_count');
    if (unused <= keptPages || unused * 4 <= int(allPages.get() ?? {}, 'page_count')) return;
    db.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`);
    // There may be more: look again after the next batch.
    batches = lookEvery;
  }

  return {
    run(claimed) {
      try {
        batches += 1;
        const most = dueAt(claimed);
        // A smaller database needs less of the disk, if need be none that it has not: its last pages are the ones that do not fit.
        if (stuck) db.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`);
        if (stuck || int(length.get() ?? {}, 'log') >= most) checkpoint();
        else if (batches >= lookEvery && (claimed || sinceClaim >= claimsComeWithin)) reclaim();
      } catch (error) {
        if (!isFull(error)) throw error;
        stuck = true;
      }
    },
    get stuck() {
      return stuck;
    },
  };
}
