import type { LexiconDoc } from "@atproto/lexicon";
import { accessLexicons } from "./access_lexicons.ts";
import type { NsidPrefix } from "./parts.ts";

/** Our lexicons (https://atproto.com/specs/lexicon), under this service's namespace. */
export function lexicons(prefix: NsidPrefix): LexiconDoc[] {
  return [getTicket(prefix), token(prefix), ...accessLexicons(prefix), grant(prefix)];
}

/** No method, but a record that owners of rooms have in their repositories, for `ACCESS_POLICY=records`. */
function grant(prefix: NsidPrefix): LexiconDoc {
  return {
    lexicon: 1,
    id: `${prefix}.grant`,
    defs: {
      main: {
        type: "record",
        key: "tid",
        description:
          "Gives the members of one of your lists, or everyone, a role in one of your rooms. " +
          "It has either a list or everyone.",
        record: {
          type: "object",
          required: ["room", "role", "createdAt"],
          properties: {
            room: {
              type: "string",
              minLength: 1,
              maxLength: 512,
              description: "The room's name, which begins with your DID or is an AT-URI of yours.",
            },
            role: { type: "string", enum: ["writer", "reader"] },
            list: {
              type: "string",
              format: "at-uri",
              description: "A list of your own, an app.bsky.graph.list, by its DID.",
            },
            everyone: { type: "boolean", const: true },
            createdAt: { type: "string", format: "datetime" },
          },
        },
      },
    },
  };
}

function getTicket(prefix: NsidPrefix): LexiconDoc {
  return {
    lexicon: 1,
    id: `${prefix}.getTicket`,
    defs: {
      main: {
        type: "procedure",
        description:
          "Swaps proof of who you are for a ticket that opens one WebSocket to one room, once, within 30 seconds. " +
          "The socket speaks y-protocols and is no lexicon subscription.",
        input: {
          encoding: "application/json",
          schema: {
            type: "object",
            required: ["room"],
            properties: {
              room: {
                type: "string",
                minLength: 1,
                maxLength: 512,
                description: "The room's name: 1 to 512 bytes of UTF-8. May be an AT-URI.",
              },
              did: {
                type: "string",
                format: "did",
                description:
                  "Who calls. Only with a development token; otherwise the token says it.",
              },
            },
          },
        },
        output: {
          encoding: "application/json",
          schema: {
            type: "object",
            required: ["ticket", "did", "room", "role", "expiresAt", "protocols", "url"],
            properties: {
              ticket: { type: "string", description: "A secret. Never put it in a URL." },
              did: { type: "string", format: "did" },
              room: { type: "string" },
              role: { type: "string", knownValues: ["owner", "writer", "reader"] },
              expiresAt: { type: "string", format: "datetime" },
              protocols: {
                type: "array",
                items: { type: "string" },
                description: "What to offer in Sec-WebSocket-Protocol.",
              },
              url: { type: "string", description: "Where to open the WebSocket." },
            },
          },
        },
        errors: [{ name: "InvalidRoom" }, { name: "Forbidden" }],
      },
    },
  };
}

function token(prefix: NsidPrefix): LexiconDoc {
  return {
    lexicon: 1,
    id: `${prefix}.token`,
    defs: {
      main: {
        type: "query",
        description:
          "Like getTicket, for no room in particular: the call of Roomy's first clients.",
        parameters: {
          type: "params",
          properties: {
            did: {
              type: "string",
              format: "did",
              description: "Who calls. Only with a development token; otherwise the token says it.",
            },
          },
        },
        output: {
          encoding: "application/json",
          schema: {
            type: "object",
            required: ["token"],
            properties: {
              token: { type: "string", description: "A ticket for any room that you may enter." },
            },
          },
        },
      },
    },
  };
}
