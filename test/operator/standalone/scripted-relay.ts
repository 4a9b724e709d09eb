/** In the place of relay/main.ts: says what a relay says, and does what the host name of its configuration asks for. */
import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../../../relay/config.ts';

const { values } = parseArgs({ options: { config: { type: 'string' }, 'data-dir': { type: 'string' } } });
const file = values.config ?? '';
const read = (): ReturnType<typeof parseConfig> => parseConfig(JSON.parse(readFileSync(file, 'utf8')));
const say = (line: object): void => console.log(JSON.stringify(line));

const config = read();
let { revision } = config;

if (config.hostname === 'never-ready.example.com') {
  process.exitCode = 7;
} else {
  say({
    msg: 'ready',
    listeners: [{ name: 'smtp', address: '127.0.0.1', port: 2525 }],
    http: { address: config.http.bindAddress, port: config.http.bindPort },
  });
  console.log('not a line of the log');
  const watcher = watch(dirname(file), () => {
    const next = read();
    if (next.revision === revision) return;
    revision = next.revision;
    say({ msg: 'configuration applied', revision });
    if (next.hostname === 'dies.example.com') process.exit(3);
  });
  process.on('SIGTERM', () => {
    say({ msg: 'stopping' });
    if (config.hostname !== 'stubborn.example.com') watcher.close();
  });
}
