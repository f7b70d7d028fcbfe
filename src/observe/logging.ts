import {
  configure,
  getConsoleSink,
  getJsonLinesFormatter,
  type LogLevel,
  type LogRecord,
  type TextFormatter,
} from "@logtape/logtape";
import { getPrettyFormatter } from "@logtape/pretty";
import { inspect } from "node:util";

/** How log lines look: for a person, or for a machine. */
export type LogFormat = "pretty" | "json";

/**
 * Sends what the service logs to the console. Only a program does this: who embeds the service
 * configures LogTape as it likes, and otherwise nothing is logged.
 */
export async function configureLogging(level: LogLevel, format: LogFormat): Promise<void> {
  const formatter = format === "json" ? jsonFormatter() : prettyFormatter();
  await configure({
    sinks: { console: getConsoleSink({ formatter }) },
    loggers: [
      { category: "tessera", sinks: ["console"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["console"], lowestLevel: "warning" },
    ],
  });
}

function jsonFormatter(): TextFormatter {
  const format = getJsonLinesFormatter({ properties: "flatten" });
  return (record) => format({ ...record, message: [sentence(record, String)] });
}

function prettyFormatter(): TextFormatter {
  const format = getPrettyFormatter({ timestamp: "time", properties: false, wordWrap: false });
  const withStack = (value: unknown) => value instanceof Error ? inspect(value) : String(value);
  return (record) => format({ ...record, message: [sentence(record, withStack)] });
}

/** The message with its values. LogTape's own way quotes every string, and shows an error as `{}`. */
function sentence({ message }: LogRecord, speak: (value: unknown) => string): string {
  return message.map(speak).join("");
}
