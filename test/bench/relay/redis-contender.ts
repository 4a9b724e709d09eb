/** Our relay on a queue in a Redis of its own, which syncs each write: one process, or several that share it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { programsMissing } from '../../support/programs.ts';
import { durable, type RedisPeer, startRedis } from '../../support/redis.ts';
import type { Contender, ContenderKind, Task } from './contender.ts';
import { type PostroadOptions, type Program, startPostroad } from './postroad-contender.ts';

const here = new URL('../../..', import.meta.url).pathname;

export function postroadOnRedis(
  processes: number,
  { name = processes === 1 ? 'redis' : `redis-${processes}`, root = here, nodeOptions = [] }: PostroadOptions = {},
): ContenderKind {
  return {
    name,
    async prepare(say) {
      const missing = programsMissing('redis-server', 'redis-cli');
      if (missing === false) return `${processes} of our relays on one Redis, appendfsync always`;
      say(`${name}: ${missing}`);
      return undefined;
    },
    refuses: ({ destinations }) => (destinations > 1 ? 'one zone is for one relay' : undefined),
    start: task => start(task, processes, { name, root, nodeOptions }),
  };
}

async function start(task: Task, processes: number, program: Program): Promise<Contender> {
  const stack = new AsyncDisposableStack();
  try {
    const redis = stack.use(await startRedis(task.folder, { settings: durable }));
    const queue = {
      type: 'Redis' as const,
      redis: {
        type: 'Single' as const,
        addresses: [{ host: '127.0.0.1', port: redis.port }],
        tls: 'Disabled' as const,
        keyPrefix: 'bench:',
        durability: 'Fsync' as const,
      },
    };
    const relays: Contender[] = [];
    for (let n = 0; n < processes; n += 1) {
      const folder = join(task.folder, `relay-${n}`);
      await mkdir(folder);
      relays.push(stack.use(await startPostroad({ ...task, folder }, program, queue)));
    }
    const ofRedis = remarksOf(redis);
    return {
      name: program.name,
      ports: relays.flatMap(({ ports }) => ports),
      pids: [redis.pid, ...relays.flatMap(({ pids }) => pids)],
      async remarks(messages) {
        const ofRelays = await Promise.all(relays.map(relay => relay.remarks?.(messages)));
        return `${await ofRedis(messages)}; ${ofRelays.join('; ')}`;
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Keys of the queue that no message should leave behind: all but counters, signs of life, and what goes by itself. */
export async function leftIn(redis: Pick<RedisPeer, 'ask'>, keyPrefix: string): Promise<string> {
  const keys = (await redis.ask('--scan', '--pattern', `${keyPrefix}*`)).split('\n').filter(key => key !== '');
  const others = keys.filter(key => !/:(?:meta|owners|gone:.*)$/.test(key));
  const lives = await Promise.all(others.map(key => redis.ask('PTTL', key)));
  const left = others.filter((_, at) => Number(lives[at]) === -1);
  return left.length === 0 ? 'nothing' : `${left.length} keys: ${left.slice(0, 5).join(' ')}`;
}

/** A message's share of what Redis did: questions, the reads they came in, its processor time, what its file grew by. */
function remarksOf(redis: RedisPeer): (messages: number) => Promise<string> {
  let last = { scripts: 0, commands: 0, reads: 0, cpuSeconds: 0, scriptSeconds: 0, fileBytes: 0 };
  return async messages => {
    const info = await redis.ask('INFO', 'everything');
    const field = (pattern: string): number => Number(new RegExp(pattern, 'm').exec(info)?.[1] ?? 0);
    const now = {
      scripts: field('^cmdstat_evalsha:calls=(\\d+)'),
      scriptSeconds: field('^cmdstat_evalsha:calls=\\d+,usec=(\\d+)') / 1e6,
      commands: field('^total_commands_processed:(\\d+)'),
      reads: field('^total_reads_processed:(\\d+)'),
      cpuSeconds: field('^used_cpu_user:([\\d.]+)') + field('^used_cpu_sys:([\\d.]+)'),
      fileBytes: field('^aof_current_size:(\\d+)'),
    };
    const per = (what: keyof typeof now, digits: number): string =>
      ((now[what] - last[what]) / Math.max(1, messages)).toFixed(digits);
    const said = [
      `a message: ${per('scripts', 2)} scripts, ${per('commands', 1)} commands, ${per('reads', 2)} reads of Redis, ${per('fileBytes', 0)} bytes of its file`,
      `a thousand: Redis ${(((now.cpuSeconds - last.cpuSeconds) / Math.max(1, messages)) * 1000).toFixed(3)} CPU s, of it scripts ${(((now.scriptSeconds - last.scriptSeconds) / Math.max(1, messages)) * 1000).toFixed(3)}`,
    ];
    said.push(`left: ${await leftIn(redis, 'bench:')}`);
    last = now;
    return said.join('; ');
  };
}
