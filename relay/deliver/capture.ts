/**
 * Keeps messages in a folder instead of sending them on: `<id>.eml` is the message, `<id>.json` says what the envelope said.
 * A message is there when its `.json` is; both are written whole or not at all, and survive power loss before they
 * count as delivered. The oldest make room (G7; capture-room.ts).
 */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Claim } from '../queue/queue.ts';
import { CaptureRoom } from './capture-room.ts';

export interface Captured {
  readonly id: string;
  /** Empty for the null reverse-path. */
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  /** RFC 3339. */
  readonly receivedTime: string;
  /** Bytes. */
  readonly size: number;
}

export interface Capture {
  /** Resolves when durable. Repeating it for the same message adds recipients, never a second message. */
  store(claim: Claim): Promise<void>;
  /** Newest first. */
  list(): Promise<readonly Captured[]>;
  /** The raw message; undefined when there is none of that id. */
  read(id: string): Promise<Readable | undefined>;
}

export interface CaptureOptions {
  readonly directory: string;
  readonly maxMessages?: number;
  /** Of messages and envelopes together. */
  readonly maxBytes?: number;
  /** Read for each message, so that a reload reaches it. */
  readonly minFreeDiskBytes?: () => number;
}

const maxReads = 64;
const safeId = /^[A-Za-z0-9_-]{1,128}$/;

export function createCapture(options: CaptureOptions): Capture {
  const { directory, maxMessages = 10_000, maxBytes = 2 ** 30, minFreeDiskBytes = () => 0 } = options;
  /** Read at the first use, and again when that failed. */
  let opened: Promise<CaptureRoom> | undefined;
  const underway = new Map<string, Promise<unknown>>();

  function room(): Promise<CaptureRoom> {
    opened ??= openRoom().catch((cause: unknown) => {
      opened = undefined;
      throw cause;
    });
    return opened;
  }

  async function openRoom(): Promise<CaptureRoom> {
    const sizes = await openFolder(directory);
    return new CaptureRoom({ directory, maxMessages, maxBytes, minFreeDiskBytes }, sizes, id => remove(directory, id));
  }

  /** Claims of one message follow one another, since each adds to the same metadata. */
  async function inTurn(id: string, task: () => Promise<void>): Promise<void> {
    const mine = (underway.get(id) ?? Promise.resolve()).then(task, task);
    underway.set(id, mine);
    try {
      await mine;
    } finally {
      if (underway.get(id) === mine) underway.delete(id);
    }
  }

  return {
    async store(claim) {
      const { id } = claim.message;
      if (!safeId.test(id)) throw new Error('a message id that cannot be a file name');
      const kept = await room();
      await inTurn(id, async () => await kept.use(id, async () => await planOf(directory, claim)));
    },
    async list() {
      const newestFirst = [...(await room()).ids].sort().reverse();
      const found: Captured[] = [];
      for (let from = 0; from < newestFirst.length; from += maxReads) {
        const page = newestFirst.slice(from, from + maxReads).map(async id => await readMetadata(directory, id));
        for (const captured of await Promise.all(page)) if (captured !== undefined) found.push(captured);
      }
      return found;
    },
    async read(id) {
      if (!safeId.test(id) || !(await room()).has(id)) return undefined;
      const file = await openIfThere(join(directory, `${id}.eml`));
      return file?.createReadStream();
    },
  };
}

/** The envelope first: without it there is no message, should this be all that a crash lets happen. */
async function remove(directory: string, id: string): Promise<void> {
  await rm(join(directory, `${id}.json`), { force: true });
  await rm(join(directory, `${id}.eml`), { force: true });
}

/** Bytes of each message in the folder, oldest first: ids sort by time of arrival. */
async function openFolder(directory: string): Promise<Map<string, number>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = await readdir(directory);
  const ids = names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length));
  const there = new Set(ids);
  // What a crash left half done: it is listed nowhere, and nothing else would ever remove it.
  const isHalf = (name: string): boolean =>
    name.endsWith('.part') || (name.endsWith('.eml') && !there.has(name.slice(0, -'.eml'.length)));
  for (const name of names.filter(isHalf)) await rm(join(directory, name), { force: true });
  const sizes = new Map<string, number>();
  for (const id of ids.sort()) {
    const parts = await Promise.all(['eml', 'json'].map(async kind => await sizeOf(join(directory, `${id}.${kind}`))));
    sizes.set(
      id,
      parts.reduce((sum, part) => sum + part, 0),
    );
  }
  return sizes;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if (isMissing(cause)) return 0;
    throw cause;
  }
}

function capturedOf(claim: Claim, known: Captured | undefined): Captured {
  const { id, sender, receivedTimeMs } = claim.message;
  const forwardPaths = new Set([
    ...(known?.forwardPaths ?? []),
    ...claim.recipients.map(({ forwardPath }) => forwardPath),
  ]);
  return {
    id,
    reversePath: sender.reversePath?.text ?? '',
    forwardPaths: [...forwardPaths],
    receivedTime: new Date(receivedTimeMs).toISOString(),
    size: claim.head.length + claim.content.sizeBytes,
  };
}

async function planOf(directory: string, claim: Claim): Promise<{ bytes: number; write: () => Promise<void> }> {
  const { id } = claim.message;
  const known = await readMetadata(directory, id);
  const captured = capturedOf(claim, known);
  const envelope = JSON.stringify(captured);
  async function write(): Promise<void> {
    if (known === undefined) await writeMessage(directory, claim);
    await writeDurably(directory, `${id}.json`, async file => await file.writeFile(envelope));
    await syncDirectory(directory);
  }
  return { bytes: captured.size + Buffer.byteLength(envelope), write: known === undefined ? orNothing(write) : write };

  /** What failed half-way would count nowhere until the next start. */
  function orNothing(task: () => Promise<void>): () => Promise<void> {
    return async () => {
      try {
        await task();
      } catch (cause) {
        await remove(directory, id);
        throw cause;
      }
    };
  }
}

async function writeMessage(directory: string, claim: Claim): Promise<void> {
  await writeDurably(directory, `${claim.message.id}.eml`, async file => {
    await file.writeFile(claim.head);
    for await (const chunk of claim.content.read()) await file.writeFile(chunk);
  });
}

async function writeDurably(directory: string, name: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const part = join(directory, `${name}.part`);
  const file = await open(part, 'w', 0o640);
  try {
    await fill(file);
    await file.sync();
  } catch (cause) {
    await rm(part, { force: true });
    throw cause;
  } finally {
    await file.close();
  }
  await rename(part, join(directory, name));
}

/** Without it a power loss may forget the rename. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readMetadata(directory: string, id: string): Promise<Captured | undefined> {
  const file = await openIfThere(join(directory, `${id}.json`));
  if (file === undefined) return undefined;
  try {
    return JSON.parse(await file.readFile('utf8')) as Captured;
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}
