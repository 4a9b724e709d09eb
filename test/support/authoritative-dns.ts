/**
 * A real authoritative DNS server (Knot) on an address of its own, port 53: where everybody asks such servers. Its zones are files
 * that the test edits; it can be stopped in place, so that it says nothing, and given an old zone again.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, startProcess } from './processes.ts';
import { waitUntil } from './wait-until.ts';

export interface AuthoritativeDns extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
  /** Lines of a zone file below its SOA, names relative to the zone; replaces what the zone was. Resolves when it is served. */
  setZone(zone: string, lines: readonly string[]): Promise<void>;
  removeZone(zone: string): Promise<void>;
  /** Says nothing until it goes on. */
  pause(): void;
  resume(): void;
}

let used = 0;

/** `folder` must be empty. `at`: an address of this machine; else one of loopback that is free. */
export async function startAuthoritativeDns(folder: string, at?: string): Promise<AuthoritativeDns> {
  const address = at ?? (await freeAddress());
  const zones = new Map<string, readonly string[]>();
  const configFile = join(folder, 'knot.conf');
  const zoneFolder = join(folder, 'zones');
  const control = join(folder, 'knot.sock');
  let serial = 1;
  await mkdir(zoneFolder);
  await configure();
  const server = startProcess('/usr/sbin/knotd', ['-c', configFile]);
  await waitUntil('Knot answers its control socket', answers, { limitMs: 20_000 });

  async function configure(): Promise<void> {
    await writeFile(
      configFile,
      [
        `server:\n  rundir: "${folder}"\n  pidfile: "${folder}/knot.pid"\n  listen: ${address}@53`,
        '  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1',
        `control:\n  listen: "${control}"`,
        `database:\n  storage: "${folder}/db"`,
        'log:\n - target: stderr\n   any: warning',
        `template:\n - id: default\n   storage: "${zoneFolder}"\n   file: "%s.zone"\n   zonefile-sync: -1\n   journal-content: none`,
        `zone:${[...zones.keys()].map(zone => `\n - domain: ${zone}.`).join('')}`,
      ].join('\n'),
    );
  }

  async function answers(): Promise<boolean> {
    try {
      await mustRun('/usr/sbin/knotc', ['-s', control, 'status'], { timeoutMs: 5000 });
      return true;
    } catch (error) {
      if (error instanceof Error) return false;
      throw error;
    }
  }

  async function reload(): Promise<void> {
    await configure();
    await mustRun('/usr/sbin/knotc', ['-s', control, '-b', '-t', '10', 'reload'], { timeoutMs: 15_000 });
    if (zones.size > 0)
      await mustRun('/usr/sbin/knotc', ['-s', control, '-b', '-t', '10', 'zone-reload'], { timeoutMs: 15_000 });
  }

  return {
    address,
    pid: server.pid,
    async setZone(zone, lines) {
      zones.set(zone, lines);
      const soa = `@ 60 IN SOA ns1.${zone}. hostmaster.${zone}. ${++serial} 60 60 60 1`;
      await writeFile(join(zoneFolder, `${zone}.zone`), `$ORIGIN ${zone}.\n$TTL 60\n${soa}\n${lines.join('\n')}\n`);
      await reload();
    },
    async removeZone(zone) {
      zones.delete(zone);
      await rm(join(zoneFolder, `${zone}.zone`), { force: true });
      await reload();
    },
    pause: () => void process.kill(server.pid, 'SIGSTOP'),
    resume: () => void process.kill(server.pid, 'SIGCONT'),
    async [Symbol.asyncDispose]() {
      process.kill(server.pid, 'SIGCONT');
      await server.stop('SIGTERM', 5000);
    },
  };
}

/** Other test files run beside this one: whoever can bind has the address. */
async function freeAddress(): Promise<string> {
  for (let trial = 0; trial < 200; trial++) {
    const address = `127.83.${(process.pid % 254) + 1}.${(used++ % 254) + 1}`;
    const socket = createSocket('udp4');
    try {
      const bound = once(socket, 'listening');
      socket.bind(53, address);
      await bound;
      return address;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    } finally {
      socket.close();
    }
  }
  throw new Error('no address on loopback has a free port 53');
}
