import type { Contender } from "./contender.ts";
import { hocuspocus, hocuspocusSqlite } from "./hocuspocus.ts";
import { relay } from "./relay.ts";
import { tessera, tessera2 } from "./tessera.ts";
import { yLeveldb, yWebsocket } from "./y_websocket.ts";

/** In the order in which they alternate. */
export const CONTENDERS: Contender[] = [
  tessera,
  tessera2,
  yWebsocket,
  yLeveldb,
  hocuspocus,
  hocuspocusSqlite,
  relay,
];
