/** Node in a root file system that is mounted read-only, as a user of no name, with /tmp and /proc as a container has them. */
import { readFile } from 'node:fs/promises';
import { type OwnedProcess, startProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';

export interface Start {
  readonly root: string;
  /** `user:group`, as numbers. */
  readonly user: string;
  readonly args: readonly string[];
  /** Seen as /tmp/files; its owner is the caller's affair. */
  readonly files?: string;
}

export interface StartedInImage {
  readonly exited: OwnedProcess['exited'];
  /** Resolves when standard output has it. */
  said(text: string): Promise<void>;
  /** Proportional share of the process itself. */
  memoryBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** $1 root, $2 user, $3 files or nothing; the rest is for Node. */
const script = `
mount --bind "$1" "$1" && cd "$1"
mount -t tmpfs -o mode=1777 tmpfs tmp
if [ -n "$3" ]; then mkdir tmp/files; mount --bind "$3" tmp/files; fi
mount -o remount,ro,bind "$1"
root=$1 user=$2 chroot=$(command -v chroot); shift 3
exec env -i PATH=/usr/local/bin NODE_ENV=production "$chroot" --userspec="$user" "$root" node "$@"
`;

export function startInImage({ root, user, args, files = '' }: Start): StartedInImage {
  let output = '';
  const command = ['--pdeathsig', 'KILL', 'unshare', '--mount', 'sh', '-euc', script, 'start'];
  const running = startProcess('setpriv', [...command, root, user, files, ...args], {
    onLine: line => {
      output += `${line}\n`;
    },
  });
  return {
    exited: running.exited,
    async said(text) {
      try {
        await waitUntil(`${text} from ${args[0]}`, () => output.includes(text), { limitMs: 30_000 });
      } catch (cause) {
        throw new Error(`${output}\n${running.errors()}`, { cause });
      }
    },
    async memoryBytes() {
      const text = await readFile(`/proc/${running.pid}/smaps_rollup`, 'utf8');
      return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1]) * 1024;
    },
    stop: async () => void (await running.stop('SIGTERM')),
  };
}
