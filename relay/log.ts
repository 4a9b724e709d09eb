import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(fields: Readonly<Record<string, string | number>>): Log;
};

/** Lines beyond this are dropped when whoever reads them has stopped reading (G7). */
const mostWaitingBytes = 16 * 1024 * 1024;

/**
 * JSON lines on standard output. Fields name sessions (`session`) and messages (`queueId`), never content, passwords or keys:
 * no caller passes an object that holds any, and `redact` is the net below (flat, like the fields: wildcards cost half a line's time).
 *
 * Lines that come while one is being written go out together, so the event loop does not wait for a slow reader; pino writes
 * what is left when the process ends.
 */
export function createLog(level: string): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: ['password', 'pass', 'privateKey', 'content'],
    },
    pino.destination({ fd: 1, sync: false, maxLength: mostWaitingBytes }),
  );
}
