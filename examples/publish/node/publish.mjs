// Publishes a booking with @nats-io/jetstream, once however often it is sent.
//
//   npm ci
//   NATS_URL=nats://127.0.0.1:4222 node publish.mjs CHAT_ID BOOKING_ID [OCCURRED_AT]
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const ATTEMPTS = 6;

/** A UUIDv7 (RFC 9562) of the moment at which the event occurred: what the event is known by for ever. */
function mint(at) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(at.getTime(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function booking(chatId, bookingId, occurredAt) {
  return {
    event_id: mint(new Date(occurredAt)),
    event_name: "booking_request_created",
    chat_id: chatId, // beyond 2^53 write the body by hand: a number of JavaScript's loses digits
    occurred_at: occurredAt, // the text: a Date keeps milliseconds only
    // Money as a decimal string: a float would lose the kopeck.
    properties: { booking_id: bookingId, services_count: 2, estimated_total: "27500.00" },
  };
}

/**
 * Gives the PubAck: the event stands on the stream's disk. Until then it is yours.
 *
 * Whatever else comes, a timeout above all, says nothing of where the event is; so it is sent again as it was, and the
 * Nats-Msg-Id lets the stream take it once.
 */
async function publish(js, event) {
  const options = { msgID: event.event_id, timeout: 5_000, expect: { streamName: "ANALYTICS" } };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await js.publish(`analytics.${event.event_name}`, JSON.stringify(event), options);
    } catch (cause) {
      if (attempt === ATTEMPTS) throw cause; // keep the event and send it later, under the same event_id
      console.error(`not acknowledged (${cause}), once more`);
      await sleep(50 * 2 ** attempt);
    }
  }
}

/** The client takes no credentials from an address. */
function server(url) {
  const { host, username, password } = new URL(url);
  const user = username ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) } : {};
  return { servers: host, ...user };
}

const [chatId, bookingId, occurredAt = new Date().toISOString()] = process.argv.slice(2);
const inboxPrefix = process.env.NATS_INBOX_PREFIX ?? "_INBOX";
const connection = await connect({ ...server(process.env.NATS_URL), name: "publish-example", inboxPrefix });
const event = booking(Number(chatId), Number(bookingId), occurredAt);
// The second time stands for a retry after an answer that was lost.
for (let time = 0; time < 2; time += 1) {
  const ack = await publish(jetstream(connection), event);
  console.log(event.event_id, ack.stream, ack.seq, ack.duplicate ? "known" : "stored");
}
await connection.drain();
