import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';

/** What figures mean nothing without. */
export async function describeMachine(): Promise<string> {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const { type } = await statfs(tmpdir());
  const load = (await readFile('/proc/loadavg', 'utf8')).split(' ', 1)[0];
  const disk = fileSystems[type] ?? `file system ${type.toString(16)}`;
  return [
    new Date().toISOString().slice(0, 10),
    `${availableParallelism()} cores (${model})`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `Linux ${release()}`,
    `queues on ${disk}`,
    `load ${load}`,
  ].join(', ');
}

/** statfs(2). */
const fileSystems: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs (memory: not durable, so not comparable)',
  2035054128: 'overlayfs',
};
