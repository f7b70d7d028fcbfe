import { openPolicy } from "../../src/access/policy.ts";
import { DEFAULT_LIMITS } from "../../src/limits/limits.ts";
import { Tally } from "../../src/observe/tally.ts";
import { Connections } from "../../src/socket/connections.ts";
import type { Socket, SocketEvents } from "../../src/transport/socket.ts";
import { world } from "../sync/world.ts";

/** A socket without a network. */
export class FakeSocket implements Socket {
  readonly canPause = true;
  isPaused = false;
  isTerminated = false;
  /** The code that it was closed with; 0 while it is open. */
  code = 0;
  events!: SocketEvents;

  constructor(public buffered: number, public incomplete: number) {}

  start(events: SocketEvents): void {
    this.events = events;
    events.opened();
  }

  send(message: Uint8Array): void {
    this.buffered += message.length;
  }

  close(code: number): void {
    this.code = code;
  }

  terminate(): void {
    this.isTerminated = true;
    this.events.closed(1006);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

/** Connections without a network, all in one room. */
export function crowd() {
  const { rooms, clock } = world();
  const tally = new Tally();
  const connections = new Connections({
    rooms,
    roles: { policy: openPolicy, recheck: 600_000 },
    clock,
    limits: DEFAULT_LIMITS,
    tally,
    maxSession: 3_600_000,
  });
  const open = (did: string, buffered: number, incomplete: number): FakeSocket => {
    const socket = new FakeSocket(buffered, incomplete);
    const place = connections.reserve("192.0.2.1", "notes");
    const admission = {
      did,
      room: "notes",
      role: "writer",
      address: "192.0.2.1",
      id: "x",
    } as const;
    connections.admit(socket, place, admission);
    return socket;
  };
  return { connections, clock, tally, open };
}
