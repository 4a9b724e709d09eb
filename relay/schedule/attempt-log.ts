/** One line an attempt, or one for each kind of result where recipients fared differently. No addresses, no content. */
import type { Attempt } from '../deliver/deliver.ts';
import type { RecipientResult } from '../deliver/outcome.ts';
import type { Log } from '../log.ts';
import { formatReply } from '../smtp/reply.ts';
import type { Held } from './held.ts';

export interface Place {
  readonly lane: string;
  readonly remote: string | undefined;
}

export function logAttempt(log: Log, { claim }: Held, attempt: Attempt, { lane, remote }: Place): void {
  for (const { result, count } of kindsOf(attempt.results)) {
    const reason = result.result === 'Delivered' ? undefined : result.reason;
    const reply = result.reply === undefined ? undefined : formatReply(result.reply);
    log[result.result === 'Delivered' ? 'info' : 'warn'](
      {
        queueId: claim.message.id,
        lane,
        remote,
        result: result.result,
        reason,
        reply,
        detail: attempt.detail,
        recipients: count,
      },
      'attempt',
    );
  }
}

function kindsOf(results: readonly RecipientResult[]): Iterable<{ result: RecipientResult; count: number }> {
  const [only] = results;
  if (results.length === 1 && only !== undefined) return [{ result: only, count: 1 }];
  const kinds = new Map<string, { result: RecipientResult; count: number }>();
  for (const result of results) {
    const key = `${result.result} ${result.result === 'Delivered' ? '' : result.reason} ${result.reply?.code ?? ''}`;
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { result, count: 1 });
    else kind.count += 1;
  }
  return kinds.values();
}
