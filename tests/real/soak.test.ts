import { assert, assertEquals } from "@std/assert";
import { soak } from "../bench/soak/soak.ts";
import { findKvServer } from "./kv_server.ts";
import { testReal } from "./real_test.ts";

const program = await findKvServer();

// What is not there, `kv_server.test.ts` says.
testReal(
  "O18: five hundred sockets for a minute, odd ones, two stalls and a restart: nothing acknowledged is lost",
  program,
  async (program) => {
    const report = await soak({
      ...{ program, sockets: 500, duration: 60_000, pace: 2_000 },
      say: () => {},
    });
    const { missing, errors, edits, acknowledged, p99, rss } = report;
    assertEquals([missing, errors], [[], []]);
    assert(acknowledged > edits / 2, `${acknowledged} of ${edits} edits were acknowledged`);
    console.log(
      `${acknowledged} of ${edits} edits acknowledged, p99 ${p99.toFixed(0)} ms, ` +
        `${rss.slope.toFixed(1)} MB a minute`,
    );
  },
);
