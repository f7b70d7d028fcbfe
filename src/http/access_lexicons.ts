import type { LexiconDoc, LexObject, LexXrpcParameters } from "@atproto/lexicon";
import type { NsidPrefix } from "./parts.ts";

const room = {
  type: "string",
  minLength: 1,
  maxLength: 512,
  description: "The room's name: 1 to 512 bytes of UTF-8. May be an AT-URI.",
} as const;
const did = {
  type: "string",
  format: "did",
  description: "Who calls. Only with a development token; otherwise the token says it.",
} as const;
const member = { type: "string", format: "did", maxLength: 512 } as const;
const role = { type: "string", knownValues: ["owner", "writer", "reader"] as string[] } as const;
const memberRole = { type: "string", enum: ["writer", "reader"] as string[] } as const;
const visibility = {
  type: "string",
  enum: ["private", "public-read", "public-write"] as string[],
} as const;
const pending = {
  type: "boolean",
  description:
    "True until it is accepted: a membership by a first ticket, a room by acceptTransfer.",
} as const;
const inviteId = { type: "string", maxLength: 64 } as const;
const secret = { type: "string", maxLength: 128, description: "Never put it in a log." } as const;
const terms = {
  role: memberRole,
  expiresAt: { type: "string", format: "datetime" },
  usesLeft: { type: "integer" },
} as const;
const paging = {
  limit: { type: "integer", minimum: 1, maximum: 100, default: 50 },
  cursor: { type: "string", maxLength: 4_096 },
} as const;

/** The lexicons of the methods about who may do what in a room. */
export function accessLexicons(prefix: NsidPrefix): LexiconDoc[] {
  return [
    query(`${prefix}.getRoom`, {
      description: "Who owns a room and what you may do in it; to its owner, who is in it.",
      parameters: { room },
      output: object({
        room,
        role,
        owner: member,
        visibility,
        members: { type: "array", items: { type: "ref", ref: "#member" } },
        banned: { type: "array", items: member },
        invites: { type: "array", items: { type: "ref", ref: "#invite" } },
        offeredTo: {
          ...member,
          description: "Who owns it once they accept. Only its owner and they are told.",
        },
      }, ["room", "role", "owner", "visibility"]),
      defs: {
        member: object({ did: member, role: memberRole, pending }, ["did", "role"]),
        invite: object({ id: inviteId, ...terms }),
      },
    }),
    query(`${prefix}.listRooms`, {
      description: "The rooms that you own or have joined; at the end those that you were offered.",
      parameters: paging,
      output: object({
        rooms: { type: "array", items: { type: "ref", ref: "#room" } },
        cursor: paging.cursor,
      }, ["rooms"]),
      defs: {
        room: object({ room, role, pending, by: { ...member, description: "Who offers it." } }, [
          "room",
          "role",
        ]),
      },
    }),
    query(`${prefix}.listEvents`, {
      description: "What was done to a room's access, the latest first. For its owner.",
      parameters: { room, ...paging },
      output: object({
        events: { type: "array", items: { type: "ref", ref: "#event" } },
        cursor: paging.cursor,
      }, ["events"]),
      defs: {
        event: object({
          by: { ...member, description: "Who did it." },
          what: { type: "string" },
          at: { type: "string", format: "datetime" },
          did: { ...member, description: "To whom." },
          role: memberRole,
          visibility,
          invite: inviteId,
        }, ["by", "what", "at"]),
      },
    }),
    procedure(`${prefix}.putMember`, {
      description:
        "Makes a DID a writer or a reader of a room. It joins with its first ticket. For its owner.",
      input: { room, member, role: memberRole },
      errors: ["IsOwner", "TooManyMembers", "Banned"],
    }),
    procedure(`${prefix}.removeMember`, {
      description:
        "Takes a member out of a room, for whom its invites do nothing any more; or yourself, or declines.",
      input: { room, member },
      errors: ["IsOwner"],
    }),
    procedure(`${prefix}.setVisibility`, {
      description: "Says what everyone may do in a room who is no member of it. For its owner.",
      input: { room, visibility },
    }),
    procedure(`${prefix}.ban`, {
      description:
        "Keeps a DID out of a room, whatever else would let it in, and ends its membership. For its owner.",
      input: { room, member },
      errors: ["IsOwner", "TooManyBans"],
    }),
    procedure(`${prefix}.unban`, {
      description:
        "Lifts a ban. It gives no membership back, and older invites do nothing. For the owner.",
      input: { room, member },
    }),
    procedure(`${prefix}.transferRoom`, {
      description:
        "Offers a room to a member, who owns it by acceptTransfer. Not where the name says whose it is.",
      input: { room, member },
      errors: ["IsOwner", "NotAMember", "OwnedByName", "Banned"],
    }),
    procedure(`${prefix}.acceptTransfer`, {
      description: "Makes you the owner of a room that you were offered, and its owner a writer.",
      input: { room },
      errors: ["NotOffered", "TooManyRooms"],
    }),
    procedure(`${prefix}.cancelTransfer`, {
      description: "Takes the offer of a room back, as its owner; or declines it.",
      input: { room },
      errors: ["NotOffered"],
    }),
    procedure(`${prefix}.deleteRoom`, {
      description: "Deletes a room with all that is in it and known of it. For its owner.",
      input: { room },
    }),
    procedure(`${prefix}.createInvite`, {
      description:
        "Makes an invite to a room. The secret is shown this once. For the room's owner.",
      input: { room, role: memberRole },
      optional: {
        expiresIn: {
          type: "integer",
          minimum: 60,
          maximum: 31_536_000,
          default: 604_800,
          description: "In seconds.",
        },
        uses: { type: "integer", minimum: 1, maximum: 1_000, default: 1 },
      },
      output: object({ id: inviteId, secret, ...terms }),
      errors: ["TooManyInvites"],
    }),
    procedure(`${prefix}.redeemInvite`, {
      description: "Makes you a member of a room.",
      input: { room, secret },
      output: object({ room, role }),
      errors: ["InvalidInvite", "TooManyMembers"],
    }),
    procedure(`${prefix}.revokeInvite`, {
      description: "Takes an invite back; who has redeemed it stays. For the owner of the room.",
      input: { room, id: inviteId },
    }),
  ];
}

type Properties = LexObject["properties"];

interface Query {
  description: string;
  parameters: LexXrpcParameters["properties"];
  output: LexObject;
  defs: Record<string, LexObject>;
}

function query(id: LexiconDoc["id"], { description, parameters, output, defs }: Query): LexiconDoc {
  return {
    lexicon: 1,
    id,
    defs: {
      main: {
        type: "query",
        description,
        parameters: {
          type: "params",
          required: "room" in parameters ? ["room"] : [],
          properties: { ...parameters, did },
        },
        output: { encoding: "application/json", schema: output },
        errors: named("room" in parameters ? IN_ROOM : []),
      },
      ...defs,
    },
  };
}

interface Procedure {
  description: string;
  input: Properties;
  optional?: Properties;
  output?: LexObject;
  errors?: string[];
}

function procedure(id: LexiconDoc["id"], procedure: Procedure): LexiconDoc {
  const { description, input, optional = {}, output = object({}), errors = [] } = procedure;
  return {
    lexicon: 1,
    id,
    defs: {
      main: {
        type: "procedure",
        description,
        input: {
          encoding: "application/json",
          schema: object({ ...input, ...optional, did }, Object.keys(input)),
        },
        output: { encoding: "application/json", schema: output },
        errors: named([...IN_ROOM, ...errors]),
      },
    },
  };
}

const IN_ROOM = ["InvalidRoom", "Forbidden"];

function named(errors: string[]): { name: string }[] {
  return errors.map((name) => ({ name }));
}

function object(properties: Properties, required = Object.keys(properties)): LexObject {
  return { type: "object", required, properties };
}
