/** The relay's process: options, signals, exit code. */
import { parseArgs } from 'node:util';
import { ConfigError } from './config.ts';
import { sayLastWord } from './last-word.ts';
import { createLog } from './log.ts';
import { type Relay, startRelay } from './relay.ts';

const { values } = parseArgs({
  options: {
    config: { type: 'string' },
    'data-dir': { type: 'string' },
    'log-level': { type: 'string', default: 'info' },
    /** Kubernetes kills after 30 s by default; this leaves room to close. */
    'grace-seconds': { type: 'string', default: '25' },
    /** Where kubelet looks unless it is told otherwise. */
    'termination-log': { type: 'string', default: '/dev/termination-log' },
  },
});
const log = createLog(values['log-level']);
const graceMs = Number(values['grace-seconds']) * 1000;
/** Past the grace period, closing itself may hang on a broken disk: then leaving is the better service. */
const closeMs = 5000;
/** A child of standalone is no container of its own. */
const terminationLog = process.connected ? undefined : values['termination-log'];

function fail(cause: unknown): void {
  const faults =
    cause instanceof ConfigError
      ? cause.faults
      : [cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)];
  log.fatal({ faults }, 'the relay stops');
  process.exitCode = 1;
}

function leave(cause: unknown): never {
  fail(cause);
  process.exit();
}

function stopOnSignals(relay: Relay): void {
  let stopping = false;
  async function stop(signal: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping: no new sessions; finishing what is in flight');
    setTimeout(() => leave(new Error('closing took too long')), graceMs + closeMs).unref();
    const queuedRecipients = await relay.stop(graceMs);
    if (terminationLog !== undefined && queuedRecipients !== undefined) {
      await sayLastWord(terminationLog, queuedRecipients);
    }
    log.info({ queuedRecipients }, 'stopped');
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal).catch(leave));
  process.on('SIGHUP', () => void relay.reload());
  // Standalone holds the other end: when it dies without a word, a relay left behind would keep the data folder from the next one.
  if (process.connected) {
    process.channel?.unref();
    process.on('disconnect', () => void stop('disconnect').catch(leave));
  }
}

// Mail is for its owner's eyes, also in a data folder that was made for us and that others may enter.
process.umask(0o077);

// The queue holds all that was acknowledged, so after a fault nobody foresaw a new process is safer than this one.
process.on('uncaughtException', leave);
process.on('unhandledRejection', leave);

const { config: configFile, 'data-dir': dataDir } = values;
if (configFile === undefined || dataDir === undefined) {
  fail(
    new Error(
      'usage: node relay/main.ts --config FILE --data-dir DIR [--log-level LEVEL] [--grace-seconds N] [--termination-log FILE]',
    ),
  );
} else {
  try {
    const relay = await startRelay({ configFile, dataDir, log, onFault: leave });
    stopOnSignals(relay);
    log.info({ listeners: relay.listeners, http: relay.http }, 'ready');
  } catch (error) {
    leave(error);
  }
}
