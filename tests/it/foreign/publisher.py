"""A publisher by other hands: sends journeys with nats-py and counts, slowly and obviously, what should come of them.

    publisher.py NATS_URL SEED EVENTS

Every tenth event is sent twice, the order is shuffled, one in twenty has no id: half of those a key of their own, half
nothing at all. On standard output stands one JSON object: the ids, each rollup as rows, keyed and counted from the
distinct events alone, and exact quantiles of response times.
"""
import asyncio
import collections
import datetime as dt
import decimal
import json
import random
import sys
import uuid

import nats

UTC = dt.timezone.utc
MOSCOW = dt.timezone(dt.timedelta(hours=3))
STEPS = ["ai_dialog_started", "service_suggested", "service_added", "cart_confirmed", "booking_request_created"]
SERVICES = ["service_suggested", "ai_suggestion_accepted", "service_added"]
OTHERS = ["ai_response_time", "ai_response_time", "ai_suggestion_accepted", "error_occurred", "review_left"]


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
    if name == "ai_suggestion_accepted":
        return rnd.choice([{}, {"service_name": "полировка"}])
    if name == "error_occurred":
        return rnd.choice([{}, {"error_class": "Timeout", "error_message": "boom", "context": rnd.choice(["webhook", None])}])
    if name == "booking_request_created":
        return {"booking_id": rnd.randint(1, 10**6), "services_count": 1, "estimated_total": rnd.choice([15000.5, "15000.50"])}
    return {}


def journeys(rnd, wanted, now):
    """Events as (name, chat, time, properties, platform, when their id was minted)."""
    events = []
    while len(events) < wanted:
        chat = rnd.choice([rnd.randint(1, 200), -rnd.randint(1, 20), 2**53 + rnd.randint(1, 5)])
        at = now - dt.timedelta(seconds=rnd.randint(60, 20 * 86_400))
        for name in [*STEPS, *OTHERS]:
            at += dt.timedelta(milliseconds=rnd.randint(1, 20_000_000))
            if at < now and rnd.random() < 0.6:
                events.append((name, chat, at, properties(name, rnd), rnd.choice([None, "telegram", "web"]), at))
    # Late ones, each in a month of its own.
    for days in (40, 100, 200, 330, 364):
        at = now - dt.timedelta(days=days)
        events.append(("ai_dialog_started", 1, at, {"message_type": None}, None, at))
    # An id of the month before its event.
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if month + dt.timedelta(hours=2) < now:
        at = month + dt.timedelta(hours=2)
        events.append(("cart_confirmed", 5, at, {"total_amount": "12.50"}, None, month - dt.timedelta(hours=1)))
    return events


def percent(part, whole):
    share = decimal.Decimal(100 * part) / whole if whole else None
    return None if share is None else str(share.quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP))


def moment(at):
    return at and at.strftime("%Y-%m-%d %H:%M:%S.%f")


def bin_of(ms):
    """Exact below 128 ms, then 64 of each octave."""
    octave = ms.bit_length() - 7
    return ms if ms < 128 else 64 * octave + (ms >> octave)


def funnel(came):
    """Rows from (period, chat) and the times at which each name came."""
    periods = collections.defaultdict(list)
    for (period, _), times in came.items():
        periods[period].append({name for name, ats in times.items() if ats})
    rows = []
    for period, chats in periods.items():
        steps = [sum(step in names for names in chats) for step in STEPS]
        suggested, booked = (sum({STEPS[0], step} <= names for names in chats) for step in (STEPS[1], STEPS[4]))
        rows.append([period, len(chats), *steps, suggested, booked, percent(booked, steps[0]), percent(steps[4], len(chats))])
    return rows


def per_chat(came):
    """Rows from (period, chat) and the times at which each name came."""
    firsts = lambda times: [moment(min(times[step], default=None)) for step in STEPS]
    return [[period, chat, sum(map(len, times.values())), len(times["error_occurred"]), *firsts(times)]
            for (period, chat), times in came.items()]


def service(day, name, counts, confidences):
    total = sum(confidences, decimal.Decimal(0))
    mean = str((total / len(confidences)).quantize(decimal.Decimal("0.0001"), decimal.ROUND_HALF_UP)) if confidences else None
    return [day, name, *(counts[kind] for kind in SERVICES), format(total.normalize(), "f"), mean]


def recount(events):
    times = lambda: collections.defaultdict(list)
    hours, models, errors = collections.Counter(), times(), times()
    days, weeks, chats = (collections.defaultdict(times) for _ in range(3))
    services, confidences = collections.defaultdict(collections.Counter), times()
    for name, chat, at, props, platform, _ in events:
        hour, local = moment(at.replace(minute=0, second=0, microsecond=0)), at.astimezone(MOSCOW).date()
        day, week = local.isoformat(), (local - dt.timedelta(days=local.weekday())).isoformat()
        hours[hour, name, platform or "telegram"] += 1
        for by_name in (days[day, chat], weeks[week, chat], chats[chat]):
            by_name[name].append(at)
        if name == "ai_response_time":
            models[hour, props["model_used"]].append(props["duration_ms"])
        if name == "error_occurred":
            errors[hour, props.get("error_class") or "", props.get("context") or ""].append(at)
        if name in SERVICES:
            services[day, props.get("service_name") or ""][name] += 1
        if name == "service_suggested":
            confidences[day, props["service_name"]].append(decimal.Decimal(str(props["confidence_score"])))
    segment = lambda events: "new" if events < 3 else "engaged" if events < 11 else "returning"
    everything = lambda by_name: sorted(at for ats in by_name.values() for at in ats)
    lives = [(chat, everything(by_name), len(by_name[STEPS[4]])) for chat, by_name in chats.items()]
    # The smallest value that so many percent do not exceed.
    quantile = lambda ms, share: sorted(ms)[max(0, -(-len(ms) * share // 100) - 1)]
    return {
        "analytics_events": [[name, chat, moment(at), platform or "telegram"] for name, chat, at, _, platform, _ in events],
        "event_counts_hourly": [[*key, count] for key, count in hours.items()],
        "errors_hourly": [[*key, len(ats), moment(min(ats)), moment(max(ats))] for key, ats in errors.items()],
        "chat_days": per_chat(days),
        "chat_weeks": per_chat(weeks),
        "funnel_daily": funnel(days),
        "funnel_weekly": funnel(weeks),
        "service_suggestions_daily": [service(*key, counts, confidences[key]) for key, counts in services.items()],
        "response_times_hourly": [[*key, len(ms), sum(m > 3000 for m in ms), sum(ms), min(ms), max(ms)] for key, ms in models.items()],
        "response_time_bins_hourly": [[*key, *cell] for key, ms in models.items() for cell in collections.Counter(map(bin_of, ms)).items()],
        "quantiles": [[*key, *(quantile(ms, share) for share in (50, 95, 99))] for key, ms in models.items()],
        "chats": [[chat, len(ats), booked, moment(ats[0]), moment(ats[-1]), segment(len(ats))] for chat, ats, booked in lives],
    }


def message(number, event, rnd):
    """Subject, body and Nats-Msg-Id: with an id, with a key of the publisher's own, or with neither."""
    name, chat, at, props, platform, minted = event
    body = {"chat_id": chat, "occurred_at": at.isoformat(), "properties": props, "platform": platform}
    if number % 3 == 0:
        body["session_id"] = None
    if number % 20 == 0:
        return "analytics." + name, json.dumps(body).encode(), f"journal/{number}" if number % 40 else None
    body.update(event_id=v7(minted, rnd), event_name=name)
    return "analytics." + name, json.dumps(body, ensure_ascii=False).encode(), body["event_id"]


async def main(url, seed, wanted):
    rnd = random.Random(seed)
    now = dt.datetime.now(UTC)
    events = journeys(rnd, wanted, now)
    messages = [message(number, event, rnd) for number, event in enumerate(events)]
    ids = [key for _, body, key in messages if b'"event_id"' in body]
    again = rnd.sample([message for message in messages if message[2]], len(messages) // 10)
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
    json.dump({"events": len(events), "ids": ids, **recount(events)}, sys.stdout)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
