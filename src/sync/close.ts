/** Why the service closes a socket: https://www.rfc-editor.org/rfc/rfc6455#section-7.4, and 4xxx of ours. */
export const Close = {
  /** The service is stopping: come back, another instance may take you. */
  GOING_AWAY: 1001,
  /** Your message is larger than one may be, or than the document can take. */
  TOO_BIG: 1009,
  /** A fault of ours that nobody foresaw. */
  INTERNAL_ERROR: 1011,
  /** The room can't be served now: come back later. Your own document holds what was not acknowledged. */
  TRY_AGAIN: 1013,
  /** Your frame makes no sense. Coming back with the same frame will not help. */
  BAD_FRAME: 4400,
  /** The session has lasted long enough: come back with a new ticket. */
  SESSION_OVER: 4401,
  /** You may not be here, or not do that, any more. Coming back will not help. */
  FORBIDDEN: 4403,
  /** The room was deleted. There is nothing to come back to. */
  ROOM_DELETED: 4404,
  /** You have said nothing since you came: come back when you want something. */
  IDLE: 4408,
  /**
   * Your edit has the Yjs client id and clock of another that is stored: take a new client id, and send
   * it again.
   */
  CONFLICT: 4409,
  /** You say more than one may: come back, and say less. */
  SLOW_DOWN: 4429,
} as const;
