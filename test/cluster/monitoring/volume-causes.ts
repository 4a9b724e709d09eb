/** What happens to a relay's volume: it fills, it was away for a while, somebody has been at its database. */
import { open, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { mustRun } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cause } from './alert-watch.ts';
import { pause, scaleBy, send, volumeFolder, type World } from './world.ts';

const relay = 'stale';
const from = 'a@stale.test';
const silentAddress = '198.51.100.68';
const awayMs = 20 * 60_000;
/** A lane takes 20 under way and 200 in line out of the queue: only what is left there is old. */
const waiting = 300;
const mebibyte = 1024 * 1024;
const diskMebibytes = 640;

/** In their order: the disk of the second is that of the first. */
export function volumeCauses(world: World): readonly Cause[] {
  return [meddledVolume(world), fullDisk(world)];
}

/** As after twenty minutes without its node, behind a next hop that says nothing; and somebody has edited the database meanwhile. */
function meddledVolume(world: World): Cause {
  let silent: AsyncDisposable | undefined;
  async function meddle(change: (db: DatabaseSync) => void): Promise<void> {
    await pause(world, relay, true);
    await scaleBy(world, relay, 0);
    const file = join(await volumeFolder(world, relay), 'queue.db');
    // Its pod is gone from the API server before its process has let go of the database.
    await waitUntil('the database to be free', () => tryChange(file, change), { limitMs: 60_000, everyMs: 500 });
    await scaleBy(world, relay, 1);
    await pause(world, relay, false);
  }
  return {
    name: 'a volume that was away for 20 min, its database edited',
    fires: ['PostroadQueueNotMoving', 'PostroadMailHeld', 'PostroadRecipientsUnaccounted'].map(
      each => `${each} of ${relay}`,
    ),
    async begin() {
      silent = await listenInSilence();
      await send(
        relay,
        from,
        Array.from({ length: waiting }, (_, index) => `b${index}@silent.test`),
      );
      await meddle(db => {
        db.exec(`UPDATE recipient SET state = 0, due = ${Date.now() - awayMs} WHERE domain = 'silent.test'`);
        db.exec("UPDATE recipient SET state = 2 WHERE path LIKE '%b9@silent.test%'");
        db.exec('UPDATE totals SET accepted = accepted + 1');
      });
    },
    async mend() {
      await silent?.[Symbol.asyncDispose]();
      await world.internet.mailHost(silentAddress);
      await meddle(db => {
        db.exec('UPDATE recipient SET state = 0 WHERE state = 2');
        db.exec('UPDATE totals SET accepted = accepted - 1');
      });
    },
  };
}

/** False: somebody has it locked. */
function tryChange(file: string, change: (db: DatabaseSync) => void): boolean {
  const db = new DatabaseSync(file);
  try {
    db.exec('BEGIN IMMEDIATE');
    change(db);
    db.exec('COMMIT');
    return true;
  } catch (error) {
    if (error instanceof Error && error.message === 'database is locked') return false;
    throw error;
  } finally {
    db.close();
  }
}

/** A host that takes connections and never says a word. */
async function listenInSilence(): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>(resolve => server.listen(25, silentAddress, resolve));
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

/** A disk of its own under the volume, before the relay's pod starts anew. Goes when the cluster is cleaned, or with the node. */
export async function smallDisk(world: World): Promise<void> {
  const folder = await volumeFolder(world, relay);
  await pause(world, relay, true);
  await scaleBy(world, relay, 0);
  await mustRun('sh', [
    '-euc',
    `mkdir "$1.kept"; cp -a "$1/." "$1.kept/"; mount -t tmpfs -o size=${diskMebibytes}m tmpfs "$1"
     cp -a "$1.kept/." "$1/"; chown --reference="$1.kept" "$1"; chmod --reference="$1.kept" "$1"; rm -r "$1.kept"`,
    ...['sh', folder],
  ]);
  await scaleBy(world, relay, 1);
  await pause(world, relay, false);
}

/** Something else on the same disk grows: at first there is little room, then none. */
function fullDisk(world: World): Cause {
  let ballast = '';
  async function grow(mebibytes: number): Promise<void> {
    await using file = await open(ballast, 'a');
    const bytes = Buffer.alloc(mebibyte);
    try {
      for (let written = 0; written < mebibytes; written += 1) await file.write(bytes);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
  }
  return {
    name: 'the disk fills up',
    fires: ['PostroadQueueDiskAlmostFull', 'PostroadQueueErrors'].map(each => `${each} of ${relay}`),
    async begin() {
      ballast = join(await volumeFolder(world, relay), 'ballast');
      await grow(diskMebibytes);
    },
    goOn: async () => void (await send(relay, from, ['b@well.test'])),
    mend: () => rm(ballast, { force: true }),
  };
}
