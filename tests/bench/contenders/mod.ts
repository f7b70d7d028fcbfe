import type { Contender } from "./contender.ts";
import { hocuspocus, hocuspocusSqlite } from "./hocuspocus.ts";
import { relay } from "./relay.ts";
import { tessera } from "./tessera.ts";
import { yLeveldb, yWebsocket } from "./y_websocket.ts";

/** In the order in which they alternate. */
export const CONTENDERS: Contender[] = [
  tessera,
  yWebsocket,
  yLeveldb,
  hocuspocus,
  hocuspocusSqlite,
  relay,
];
