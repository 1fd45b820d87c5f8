"""A publisher by other hands: sends journeys with nats-py and counts, slowly and obviously, what should come of them.

    publisher.py NATS_URL SEED EVENTS

Every tenth event is sent twice, the order is shuffled, one in twenty has no id but a key of its own. On standard
output stands one JSON object: each rollup as rows, keyed and counted from the distinct events alone.
"""
import asyncio
import collections
import datetime as dt
import json
import random
import sys
import uuid

import nats

UTC = dt.timezone.utc
MOSCOW = dt.timezone(dt.timedelta(hours=3))
STEPS = ["ai_dialog_started", "service_suggested", "service_added", "cart_confirmed", "booking_request_created"]


def v7(at, rnd):
    millis = int(at.timestamp() * 1000)
    return str(uuid.UUID(int=millis << 80 | 7 << 76 | rnd.getrandbits(12) << 64 | 2 << 62 | rnd.getrandbits(62)))


def properties(name, rnd):
    if name == "ai_response_time":
        return {"duration_ms": rnd.choice([0, 127, 128, rnd.randint(1, 20_000)]), "model_used": rnd.choice(["gpt", "яндекс"])}
    if name == "service_suggested":
        return {"service_name": rnd.choice(["полировка", "door 'dent'"]), "confidence_score": round(rnd.random(), 3)}
    if name == "service_added":
        return {"service_name": "полировка", "quantity": None, "price": "0.10"}
    if name == "booking_request_created":
        return {"booking_id": rnd.randint(1, 10**6), "services_count": 1, "estimated_total": rnd.choice([15000.5, "15000.50"])}
    return {}


def journeys(rnd, wanted, now):
    """Events as (name, chat, time, properties, platform)."""
    events = []
    while len(events) < wanted:
        chat = rnd.choice([rnd.randint(1, 200), -rnd.randint(1, 20), 2**53 + rnd.randint(1, 5)])
        at = now - dt.timedelta(seconds=rnd.randint(60, 20 * 86_400))
        for name in [*STEPS, "ai_response_time", "ai_response_time", "review_left"]:
            at += dt.timedelta(milliseconds=rnd.randint(1, 20_000_000))
            if at < now and rnd.random() < 0.6:
                events.append((name, chat, at, properties(name, rnd), rnd.choice([None, "telegram", "web"])))
    for days in (40, 364):
        events.append(("ai_dialog_started", 1, now - dt.timedelta(days=days), {"message_type": None}, None))
    return events


def recount(events):
    hours, models, days, chats = (collections.Counter(), collections.defaultdict(list),
                                  collections.defaultdict(lambda: collections.defaultdict(set)), collections.defaultdict(collections.Counter))
    for name, chat, at, props, platform in events:
        hour = at.strftime("%Y-%m-%d %H")
        hours[hour, name, platform or "telegram"] += 1
        days[at.astimezone(MOSCOW).date().isoformat()][chat].add(name)
        chats[chat]["events"] += 1
        chats[chat]["bookings"] += name == STEPS[4]
        if name == "ai_response_time":
            models[hour, props["model_used"]].append(props["duration_ms"])
    funnel = []
    for day, by_chat in days.items():
        names = list(by_chat.values())
        dialogs = [n for n in names if STEPS[0] in n]
        funnel.append([day, len(names), *(sum(step in n for n in names) for step in STEPS),
                       sum(STEPS[1] in n for n in dialogs), sum(STEPS[4] in n for n in dialogs)])
    return {
        "event_counts_hourly": [[*key, count] for key, count in hours.items()],
        "funnel_daily": funnel,
        "response_times_hourly": [[*key, len(ms), sum(m > 3000 for m in ms), sum(ms), min(ms), max(ms)] for key, ms in models.items()],
        "chats": [[chat, count["events"], count["bookings"]] for chat, count in chats.items()],
    }


def message(number, event, rnd):
    """Subject, body and Nats-Msg-Id: with an id, or with a key of the publisher's own."""
    name, chat, at, props, platform = event
    body = {"chat_id": chat, "occurred_at": at.isoformat(), "properties": props, "platform": platform}
    if number % 20 == 0:
        return "analytics." + name, json.dumps(body).encode(), f"journal/{number}"
    body.update(event_id=v7(at, rnd), event_name=name)
    return "analytics." + name, json.dumps(body, ensure_ascii=False).encode(), body["event_id"]


async def main(url, seed, wanted):
    rnd = random.Random(seed)
    now = dt.datetime.now(UTC)
    events = journeys(rnd, wanted, now)
    messages = [message(number, event, rnd) for number, event in enumerate(events)]
    again = rnd.sample(messages, len(messages) // 10)
    # The second time half of those with an id in the body come without the header, past the broker's own memory.
    messages += [(s, b, None if b'"event_id"' in b and rnd.random() < 0.5 else key) for s, b, key in again]
    rnd.shuffle(messages)
    client = await nats.connect(url)
    jetstream = client.jetstream(timeout=30)
    in_flight = asyncio.Semaphore(128)

    async def send(subject, body, key):
        async with in_flight:
            await jetstream.publish(subject, body, headers={"Nats-Msg-Id": key} if key else None)

    await asyncio.gather(*(send(*m) for m in messages))
    await client.close()
    json.dump({"events": len(events), "messages": len(messages), **recount(events)}, sys.stdout)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
