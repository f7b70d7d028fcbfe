import { across } from "./across.ts";
import { flood } from "./flood.ts";
import { heavy } from "./heavy.ts";
import { joins } from "./joins.ts";
import { large } from "./large.ts";
import { paced } from "./paced.ts";
import { reconnect } from "./reconnect.ts";
import { replays } from "./replays.ts";
import { saturated } from "./saturated.ts";
import type { Scenario } from "./scenario.ts";
import { tickets } from "./tickets.ts";

/** Rooms x clients, unless a name says what else. */
export const SCENARIOS: Scenario[] = [
  saturated("1x50", { rooms: 1, writers: 1, readers: 49 }, true),
  saturated("50x4", { rooms: 50, writers: 1, readers: 3 }, true),
  saturated("200x2", { rooms: 200, writers: 1, readers: 1 }, false),
  saturated("1x500", { rooms: 1, writers: 1, readers: 499 }, false),
  saturated("many-writers", { rooms: 1, writers: 20, readers: 20 }, false),
  paced("paced", { rooms: 100, writers: 1, readers: 3 }, {
    period: 50,
    warmUp: 1_500,
    measure: { short: 4_000, long: 15_000 },
  }, true),
  paced("slow-typers", { rooms: 2_500, writers: 1, readers: 3 }, {
    period: 10_000,
    warmUp: 2_000,
    measure: { short: 10_000, long: 30_000 },
  }, false),
  flood,
  heavy,
  joins,
  reconnect,
  large(10, 100),
  large(50, 2),
  replays("automerge-paper"),
  replays("friendsforever"),
  tickets,
  across,
];
