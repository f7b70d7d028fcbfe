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

/** For a person. */
export function prettyFormatter(): TextFormatter {
  const format = getPrettyFormatter({ timestamp: "time", properties: false, wordWrap: false });
  const withStack = (value: unknown) =>
    value instanceof Error
      ? escapeControls(inspect(value), /[^\P{Cc}\n]/gu).replaceAll("\n", "\n    ")
      : escapeControls(String(value), /\p{Cc}/gu);
  return (record) => format({ ...record, message: [sentence(record, withStack)] });
}

/** What a stranger wrote must not steer a terminal, nor begin a line of its own. */
function escapeControls(text: string, controls: RegExp): string {
  return text.replace(controls, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** The message with its values. LogTape's own way quotes every string, and shows an error as `{}`. */
function sentence({ message }: LogRecord, speak: (value: unknown) => string): string {
  return message.map(speak).join("");
}
