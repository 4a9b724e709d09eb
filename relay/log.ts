import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(fields: Readonly<Record<string, string | number>>): Log;
};

/**
 * JSON lines on standard output. Fields name sessions (`session`) and messages (`queueId`), never content, passwords or keys:
 * no caller passes an object that holds any, and `redact` is the net below.
 */
export function createLog(level: string): Log {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
    redact: ['*.password', '*.pass', '*.privateKey', '*.content', 'password', 'pass', 'privateKey', 'content'],
  });
}
