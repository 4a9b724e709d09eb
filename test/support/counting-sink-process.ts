/** The counting sink itself: see counting-sink.ts, which starts it and speaks to it over IPC. */
import { createServer, type Socket } from 'node:net';
import type { SinkAnswer, SinkRequest } from './counting-sink.ts';
import { SinkConversation } from './counting-sink-conversation.ts';
import { SinkLedger } from './counting-sink-ledger.ts';

let ledger: SinkLedger | undefined;

function answer(message: SinkAnswer): void {
  process.send?.(message);
}

function serve(socket: Socket, to: SinkLedger): void {
  socket.setNoDelay(true);
  const conversation = new SinkConversation(socket, to);
  socket.on('data', (chunk: Buffer) => conversation.receive(chunk));
  // A relay that is killed resets its connections: expected here, and 'close' follows.
  socket.on('error', () => undefined);
  socket.on('close', () => conversation.end());
}

function start({ behaviour, hashBodies }: Extract<SinkRequest, { type: 'start' }>): void {
  const started = new SinkLedger(behaviour, hashBodies);
  ledger = started;
  const server = createServer(socket => serve(socket, started));
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no address');
    answer({ type: 'listening', port: address.port });
  });
}

process.on('message', (request: SinkRequest) => {
  if (request.type === 'start') return start(request);
  if (ledger === undefined) throw new Error(`${request.type} before start`);
  if (request.type === 'behave') {
    ledger.behaviour = request.behaviour;
    return answer({ type: 'behaving' });
  }
  if (request.type === 'count') return answer({ type: 'counted', received: ledger.receptions.length });
  answer({ type: 'recorded', record: ledger.record() });
});
// Its owner ended: nobody will ask for the record any more.
process.on('disconnect', () => process.exit());
