"""Publishes a booking with nats-py, once however often it is sent.

    pip install nats-py==2.16.0
    NATS_URL=nats://127.0.0.1:4222 python publish.py CHAT_ID BOOKING_ID [OCCURRED_AT]
"""
import asyncio
import datetime as dt
import json
import os
import secrets
import sys
import uuid

import nats

ATTEMPTS = 6


def mint(at):
    """A UUIDv7 (RFC 9562) of the moment at which the event occurred: what the event is known by for ever."""
    milliseconds = int(at.timestamp() * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)))


def booking(chat_id, booking_id, occurred_at):
    return {
        "event_id": mint(occurred_at),
        "event_name": "booking_request_created",
        "chat_id": chat_id,
        "occurred_at": occurred_at.isoformat(),
        # Money as a decimal string: a float would lose the kopeck.
        "properties": {"booking_id": booking_id, "services_count": 2, "estimated_total": "27500.00"},
    }


async def publish(jetstream, event):
    """Returns the PubAck: the event stands on the stream's disk. Until then it is yours.

    Whatever else comes, a timeout above all, says nothing of where the event is; so it is sent again as it was, and the
    Nats-Msg-Id lets the stream take it once.
    """
    subject = f"analytics.{event['event_name']}"
    body = json.dumps(event, ensure_ascii=False).encode()
    for attempt in range(ATTEMPTS):
        try:
            return await jetstream.publish(
                subject, body, timeout=5, stream="ANALYTICS", headers={"Nats-Msg-Id": event["event_id"]}
            )
        except (nats.errors.Error, nats.js.errors.Error, OSError) as cause:
            if attempt + 1 == ATTEMPTS:
                raise  # keep the event and send it later, under the same event_id
            print(f"not acknowledged ({cause!r}), once more", file=sys.stderr)
            await asyncio.sleep(0.1 * 2**attempt)


async def main(chat_id, booking_id, occurred_at=None):
    at = dt.datetime.fromisoformat(occurred_at) if occurred_at else dt.datetime.now(dt.timezone.utc)
    inbox = os.environ.get("NATS_INBOX_PREFIX", "_INBOX").encode()
    client = await nats.connect(os.environ["NATS_URL"], name="publish-example", inbox_prefix=inbox)
    event = booking(int(chat_id), int(booking_id), at)
    # The second time stands for a retry after an answer that was lost.
    for _ in range(2):
        ack = await publish(client.jetstream(), event)
        print(event["event_id"], ack.stream, ack.seq, "known" if ack.duplicate else "stored")
    await client.drain()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
