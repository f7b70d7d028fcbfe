import { type GetTicket, type Sign, thisWorld, type World } from "../../client/mod.ts";

/** A network with a switch: what a page sees when somebody pulls the cable. */
export class Network {
  readonly #sockets = new Set<WebSocket>();
  readonly #watchers = new Set<(sign: Sign) => void>();
  #isCut = false;

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Cuts it, or mends it. */
  set isCut(isCut: boolean) {
    this.#isCut = isCut;
    if (isCut) {
      for (const socket of this.#sockets) {
        socket.close();
        // The other side does not answer, so nobody waits for it.
        socket.dispatchEvent(new CloseEvent("close", { code: 1006 }));
      }
    }
    for (const tell of this.#watchers) tell(isCut ? "offline" : "online");
  }

  /** Tickets, while there is a network. */
  over(getTicket: GetTicket): GetTicket {
    return (request) => {
      if (this.#isCut) throw new TypeError("There is no network.");
      return getTicket(request);
    };
  }

  /** Where a provider lives that is to feel it. */
  get world(): World {
    const sockets = this.#sockets;
    return {
      ...thisWorld,
      WebSocket: class extends WebSocket {
        constructor(url: string, protocols?: string[]) {
          super(url, protocols);
          sockets.add(this);
          this.addEventListener("close", () => sockets.delete(this));
        }
      } as typeof WebSocket,
      watch: (onSign) => {
        this.#watchers.add(onSign);
        const unwatch = thisWorld.watch(onSign);
        return () => {
          unwatch();
          this.#watchers.delete(onSign);
        };
      },
    };
  }
}
