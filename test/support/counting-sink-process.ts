/** The counting sink itself: see counting-sink.ts, which starts it and speaks to it over IPC. */
import { createServer, type Socket } from 'node:net';
import type { SinkAddress, SinkAnswer, SinkRequest } from './counting-sink.ts';
import { SinkConversation } from './counting-sink-conversation.ts';
import { SinkLedger } from './counting-sink-ledger.ts';

const server = createServer();
const sockets = new Set<Socket>();
let ledger: SinkLedger | undefined;
let place: SinkAddress | undefined;

function answer(message: SinkAnswer): void {
  process.send?.(message);
}

function serve(socket: Socket, to: SinkLedger): void {
  socket.setNoDelay(true);
  const conversation = new SinkConversation(socket, to);
  socket.on('data', (chunk: Buffer) => conversation.receive(chunk));
  // A relay that is killed resets its connections: expected here, and 'close' follows.
  socket.on('error', () => undefined);
  sockets.add(socket);
  socket.on('close', () => {
    sockets.delete(socket);
    conversation.end();
  });
}

function start({ behaviour, hashBodies, keptDomain, at }: Extract<SinkRequest, { type: 'start' }>): void {
  const started = new SinkLedger(behaviour, { hashBodies, keptDomain });
  ledger = started;
  server.on('connection', socket => serve(socket, started));
  listen(at);
}

function listen(at: SinkAddress): void {
  server.listen({ ...at, backlog: 1024 }, () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no address');
    place = { host: at.host, port: address.port };
    answer({ type: 'listening', port: address.port });
  });
}

function leave(): void {
  server.close(() => answer({ type: 'left' }));
  for (const socket of sockets) socket.destroy();
}

process.on('message', (request: SinkRequest) => {
  if (request.type === 'start') return start(request);
  if (ledger === undefined || place === undefined) throw new Error(`${request.type} before start`);
  if (request.type === 'leave') return leave();
  if (request.type === 'return') return listen(place);
  if (request.type === 'behave') {
    ledger.behaviour = request.behaviour;
    return answer({ type: 'behaving' });
  }
  if (request.type === 'count') return answer({ type: 'counted', received: ledger.receptions.length });
  answer({ type: 'recorded', record: ledger.record() });
});
// Its owner ended: nobody will ask for the record any more.
process.on('disconnect', () => process.exit());
