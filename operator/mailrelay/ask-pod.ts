/** One question to one pod: what it says at /metrics. */
import { get, type IncomingMessage } from 'node:http';
import { limitedSignal } from '../kube/deadline.ts';
import { mostReportBytes, type PodReport, podReportOf } from './pod-report.ts';

/** Also where the pod's address answers nothing at all. */
const longestAnswerMs = 2000;

export interface PodQuestion {
  /** IPv4 or IPv6, as the pod's status has it. */
  readonly address: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

/** `undefined`: no answer, or none that is from a relay; the next question is the remedy. */
export async function askPod({ address, port, signal }: PodQuestion): Promise<PodReport | undefined> {
  using limited = limitedSignal(signal, longestAnswerMs);
  return await new Promise(resolve => {
    const request = get({ host: address, port, path: '/metrics', agent: false, signal: limited.signal }, answer => {
      textOf(answer).then(
        text => resolve(text === undefined ? undefined : podReportOf(text)),
        () => resolve(undefined),
      );
    });
    request.on('error', () => resolve(undefined));
  });
}

async function textOf(answer: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostReportBytes) return undefined;
    chunks.push(chunk);
  }
  return answer.statusCode === 200 ? Buffer.concat(chunks).toString('utf8') : undefined;
}
